//! Computing that never yields: a task computes on and on in one poll.
//!
//! *Sees* a poll with very long computing, or with many pieces of it one after the other and no turn given away between
//! them. A poll that computes one piece and then awaits is a task that takes its turn, however long the others wait.
//! *Bad*, because between two pieces the others could have had their turn, and did not get it.
//! *To do*: `yield_now` between the pieces, or hand the whole of it to the blocking pool.

use super::super::units::{how_many, human_ns};
use super::{Case, Lint, Severity, Sighting, last};

pub const LINT: Lint = Lint {
    name: "never-yields",
    severity: Severity::Warn,
    advice: "give a turn away between the pieces, or move the computing off the loop",
    look: || last(look),
};

fn look(case: &Case) -> Vec<Sighting> {
    let mut seen: Vec<Sighting> = Vec::new();
    let mut tasks: Vec<_> = case.known.greedy.iter().map(|poll| poll.task).collect();
    tasks.sort_unstable();
    tasks.dedup();
    for task in tasks.into_iter().filter_map(|id| case.trace.task(id)) {
        let polls: Vec<_> = case.long_polls(task).collect();
        let greedy =
            |from| case.known.greedy.binary_search_by_key(&(from, task.id), |poll| (poll.from, poll.task)).is_ok();
        let count = polls.iter().filter(|poll| greedy(poll.from)).count();
        let Some(first) = polls.iter().find(|poll| greedy(poll.from)) else { continue };
        let Some(worst) = polls.iter().max_by_key(|poll| (poll.computing_ns, std::cmp::Reverse(poll.from))) else {
            continue;
        };
        seen.push(Sighting {
            task: Some(task.id),
            at_ns: first.from,
            seen: format!("{} computed for {} without giving a turn away", task.name(), human_ns(worst.computing_ns)),
            evidence: format!(
                "{} like this; the longest at {}, in {}",
                how_many(count as u64, "poll"),
                human_ns(worst.from),
                how_many(worst.pieces, "piece"),
            ),
        });
    }
    seen
}
