//! Groups of diagnostics: one finding for each cause, with the number of its occurrences.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::lint_context::LintContext;
use super::lints::Diagnostic;
use crate::trace::TaskId;

/// A group under construction: the diagnostic that is shown, and the tasks of all.
struct Group {
    shown: Diagnostic,
    tasks: Vec<TaskId>,
}

/// Merges the diagnostics of one lint that have equal groups. The shown one has the greatest weight; it gets the
/// sum of the counts.
pub(super) fn merge_groups(cx: &LintContext, diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let mut merged = Vec::new();
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for diagnostic in diagnostics {
        let Some(group) = diagnostic.group.clone() else {
            merged.push(diagnostic);
            continue;
        };
        match groups.entry(group) {
            Entry::Vacant(vacant) => {
                let tasks = diagnostic.task.into_iter().collect();
                vacant.insert(Group { shown: diagnostic, tasks });
            }
            Entry::Occupied(mut occupied) => occupied.get_mut().add(diagnostic),
        }
    }
    merged.extend(groups.into_values().map(|group| group.finish(cx)));
    merged
}

impl Group {
    fn add(&mut self, mut added: Diagnostic) {
        self.tasks.extend(added.task);
        let count = self.shown.count.saturating_add(added.count);
        let is_heavier = (added.doubt.is_none(), added.weight) > (self.shown.doubt.is_none(), self.shown.weight);
        if is_heavier {
            std::mem::swap(&mut self.shown, &mut added);
        }
        self.shown.count = count;
    }

    /// Returns the shown diagnostic, and names the other tasks in its evidence.
    fn finish(mut self, cx: &LintContext) -> Diagnostic {
        let shown = self.shown.task;
        self.tasks.sort_unstable();
        self.tasks.dedup();
        let others: Vec<TaskId> = self.tasks.into_iter().filter(|task| Some(*task) != shown).collect();
        if others.is_empty() {
            return self.shown;
        }
        self.shown.evidence.push_str(&format!("; also {}", cx.list_names(&others)));
        self.shown
    }
}
