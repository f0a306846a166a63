//! The command palette: every action by its description, and a few commands that take an argument.

use super::action::Action;
use super::availability::has_effect;
use super::columns::{self, COLUMNS};
use super::keymap::{self, KeyBinding};
use super::model::Model;
use super::page::DashboardPage;
use super::text_match::contains_ignoring_case;
use crate::control::duration;
use crate::session::interface::Session;

/// A typed command with an argument.
pub struct PaletteCommand {
    /// Name of the command.
    pub name: &'static str,
    /// Example or form of the argument, for the help.
    pub argument: &'static str,
    /// Description for the help.
    pub description: &'static str,
    /// An action that the command leads to, for whether it does something in a session.
    pub sample: Action,
    parse: fn(&str) -> Result<Action, String>,
}

/// All typed commands.
pub const PALETTE_COMMANDS: &[PaletteCommand] = &[
    PaletteCommand {
        name: "speed",
        argument: "60 | max",
        description: "set the speed of the virtual clock",
        sample: Action::SpeedMax,
        parse: |text| text.parse().map(Action::SetSpeed),
    },
    PaletteCommand {
        name: "goto",
        argument: "10s",
        description: "look back: set the time cursor",
        sample: Action::GoTo(0),
        parse: |text| duration::parse_nanos(text).map(Action::GoTo),
    },
    PaletteCommand {
        name: "until",
        argument: "1h 5m",
        description: "run until this loop time, then pause",
        sample: Action::RunUntil(0),
        parse: |text| duration::parse_nanos(text).map(Action::RunUntil),
    },
    PaletteCommand {
        name: "page",
        argument: "wakes",
        description: "show a page by its name",
        sample: Action::NextPage,
        parse: |text| {
            let page = DashboardPage::from_name(text).map(Action::ShowPage);
            page.ok_or_else(|| {
                format!("unknown page `{text}`; use one of: {}", DashboardPage::ALL.map(DashboardPage::name).join(", "))
            })
        },
    },
    PaletteCommand {
        name: "sort",
        argument: "busy",
        description: "sort the tasks by a column of the table",
        sample: Action::SortBy(0),
        parse: |text| {
            let titles = || COLUMNS.iter().map(|column| column.title).collect::<Vec<_>>().join(", ");
            columns::find_by_title(text)
                .map(Action::SortBy)
                .ok_or_else(|| format!("unknown column `{text}`; use one of: {}", titles()))
        },
    },
    PaletteCommand {
        name: "tab",
        argument: "2",
        description: "show the tab with this number",
        sample: Action::ShowTab(1),
        parse: |text| match text.parse() {
            Ok(tab) if tab > 0 => Ok(Action::ShowTab(tab)),
            _ => Err(format!("invalid tab number `{text}`; use an integer from 1")),
        },
    },
    PaletteCommand {
        name: "save",
        argument: "trace.loop",
        description: "save the trace so far to this file",
        sample: Action::Save,
        parse: |_| Ok(Action::Save),
    },
    PaletteCommand {
        name: "break",
        argument: "poll NAME | none",
        description: "set a breakpoint: poll, wake or end NAME, poll [NAME] > 10ms, wait [NAME] > 1s, finding [LINT]",
        sample: Action::ClearBreakpoints,
        parse: |text| {
            if text == "none" { Ok(Action::ClearBreakpoints) } else { text.parse().map(Action::AddBreakpoint) }
        },
    },
    PaletteCommand {
        name: "step",
        argument: "100",
        description: "let this many polls happen, then pause",
        sample: Action::StepPoll,
        parse: |text| match text.parse() {
            Ok(polls) if polls > 0 => Ok(Action::StepPolls(polls)),
            _ => Err(format!("invalid number of polls `{text}`; use an integer from 1")),
        },
    },
];

/// Returns the bindings whose description contains `text` and that do something on the current screen, in the order of
/// the key table.
pub fn matching_bindings(text: &str, model: &Model, session: Option<&dyn Session>) -> Vec<&'static KeyBinding> {
    let text = text.trim().to_lowercase();
    let useful = |binding: &&KeyBinding| {
        !matches!(binding.action, Action::Move(_) | Action::Palette | Action::Accept | Action::ShowTab(_))
    };
    keymap::bindings_for(model.screen_scope())
        .filter(useful)
        .filter(|binding| has_effect(binding.action, session, model))
        .filter(|binding| contains_ignoring_case(binding.description, &text))
        .collect()
}

/// Returns the typed commands whose name starts with `prefix` and that do something on the current screen.
pub fn matching_commands(prefix: &str, model: &Model, session: Option<&dyn Session>) -> Vec<&'static PaletteCommand> {
    let has_effect = |command: &&PaletteCommand| session.is_some() && has_effect(command.sample, session, model);
    PALETTE_COMMANDS.iter().filter(|command| command.name.starts_with(prefix)).filter(has_effect).collect()
}

/// Returns the action of a typed line: that of the command, or of the binding at `chosen` among those that match.
pub fn chosen_action(
    text: &str,
    chosen: usize,
    model: &Model,
    session: Option<&dyn Session>,
) -> Result<Action, String> {
    if let Some(parsed) = parse(text) {
        return parsed;
    }
    let bindings = matching_bindings(text, model, session);
    match bindings.get(chosen) {
        Some(binding) => Ok(binding.action),
        None => Err(format!("no command matches `{}`", text.trim())),
    }
}

/// Splits a typed line into the command and its argument; either may be empty.
fn split_command(text: &str) -> (&str, &str) {
    let (name, argument) = text.trim().split_once(char::is_whitespace).unwrap_or((text.trim(), ""));
    (name, argument.trim())
}

/// Returns the file name of a `save FILE` command.
pub fn save_argument(text: &str) -> Option<&str> {
    let (name, file) = split_command(text);
    (name == "save" && !file.is_empty()).then_some(file)
}

/// Parses a typed command; `None` if `text` is not one of the `PALETTE_COMMANDS` with an argument.
pub fn parse(text: &str) -> Option<Result<Action, String>> {
    let (name, argument) = split_command(text);
    let command = PALETTE_COMMANDS.iter().find(|command| command.name == name)?;
    Some(match argument {
        // `step` without an argument searches for the actions that step.
        "" => return None,
        argument => (command.parse)(argument),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Speed;

    #[test]
    fn parses_commands_and_explains_bad_arguments() {
        assert_eq!(parse("speed 60"), Some(Ok(Action::SetSpeed(Speed::Factor(60.0)))));
        assert_eq!(parse("speed max"), Some(Ok(Action::SetSpeed(Speed::Max))));
        assert_eq!(parse(" goto  1.5 "), Some(Ok(Action::GoTo(1_500_000_000))));
        assert_eq!(parse("until 1h 5m"), Some(Ok(Action::RunUntil(3_900_000_000_000))));
        assert!(matches!(parse("break poll count-*"), Some(Ok(Action::AddBreakpoint(_)))));
        assert_eq!(parse("break none"), Some(Ok(Action::ClearBreakpoints)));
        assert!(parse("break count-1").is_some_and(|read| read.is_err_and(|error| error.contains("poll NAME"))));
        assert!(parse("step 0").is_some_and(|read| read.is_err()));
        assert!(parse("goto x").is_some_and(|read| read.is_err_and(|error| error.contains("`x` is not a duration"))));
        assert_eq!(
            (parse("save a b.loop"), save_argument("save  a b.loop ")),
            (Some(Ok(Action::Save)), Some("a b.loop"))
        );
        assert_eq!((parse("save"), save_argument("save"), save_argument("sort busy")), (None, None, None));
        assert_eq!(parse("step"), None);
        assert_eq!(parse("quit"), None);
    }

    #[test]
    fn finds_actions_ignoring_case() {
        let model = Model::default();
        let found = matching_bindings("ATTACH", &model, None);
        assert!(found.iter().any(|binding| binding.action == Action::Attach));
        assert!(matching_bindings("no such thing", &model, None).is_empty());
    }
}
