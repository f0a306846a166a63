//! The one table of keys: dispatch, the footer, the help and the command palette are all made from it.

use super::action::{Action, Step};
use super::input::{Code, Key};
use super::pages::Page;

/// Where a key means what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Wherever the person is, unless the place says otherwise.
    Everywhere,
    Dashboard,
    /// The picker's list or script.
    Picker,
    /// The picker's form, where letters are text.
    Form,
    /// A line of text: search or command.
    Prompt,
    /// Help or a message that is being read.
    Reading,
}

impl Scope {
    /// How the help calls it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Everywhere => "everywhere",
            Self::Dashboard => "watching a run",
            Self::Picker => "choosing a workload",
            Self::Form => "filling in parameters",
            Self::Prompt => "typing a search or a command",
            Self::Reading => "reading help or a message",
        }
    }

    /// All of them, in the order of the help.
    pub const ALL: [Self; 6] =
        [Self::Dashboard, Self::Picker, Self::Form, Self::Prompt, Self::Reading, Self::Everywhere];
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// Every key that does it; the first is the one that the footer shows.
    pub keys: &'static [Key],
    pub action: Action,
    pub scope: Scope,
    /// What the palette calls it and the help says.
    pub name: &'static str,
    /// What the footer says, where it has the room; empty for not there.
    pub footer: &'static str,
}

const fn bind(keys: &'static [Key], action: Action, scope: Scope, name: &'static str, footer: &'static str) -> Binding {
    Binding { keys, action, scope, name, footer }
}

const fn c(char: char) -> Key {
    Key::char(char)
}

const fn k(code: Code) -> Key {
    Key::new(code)
}

use Scope::{Dashboard, Everywhere, Form, Picker, Prompt, Reading};

/// The table. Within a scope, what comes first is first in the footer.
#[rustfmt::skip]
pub const BINDINGS: &[Binding] = &[
    bind(&[k(Code::Enter)], Action::Accept, Dashboard, "on a page: go to what the row is about", "go there"),
    bind(&[c(' ')], Action::TogglePause, Dashboard, "pause or resume the loop; freeze the picture of what is not ours", "pause"),
    bind(&[c('z')], Action::FreezeProcess, Dashboard, "stop the whole process that loopscope started, or let it go on", "stop process"),
    bind(&[c('R')], Action::Retry, Dashboard, "try now to reach the program again", "retry now"),
    bind(&[c('s')], Action::StepPoll, Dashboard, "step: let one task be polled", "step"),
    bind(&[c('t')], Action::StepTurn, Dashboard, "step one turn of the loop, until nothing is ready", "turn"),
    bind(&[c('T')], Action::StepTask, Dashboard, "run until the selected task was polled", ""),
    bind(&[c('o')], Action::ToggleHold, Dashboard, "hold the selected task back, or release it", "hold"),
    bind(&[c('C')], Action::CancelTask, Dashboard, "cancel the selected task where it waits", ""),
    bind(&[c('i')], Action::ToggleDetails, Dashboard, "show or hide the selected task's details", "details"),
    bind(&[c('p')], Action::NextPage, Dashboard, "show the next page: tasks, resources, wakes, findings, log", "pages"),
    bind(&[c('+'), c('=')], Action::ZoomIn, Dashboard, "zoom in", "zoom"),
    bind(&[c('-'), c('_')], Action::ZoomOut, Dashboard, "zoom out", ""),
    bind(&[c('f')], Action::FitAll, Dashboard, "fit the whole run", "fit"),
    bind(&[c('F')], Action::FitTask, Dashboard, "fit the selected task's life", ""),
    bind(&[c('/')], Action::Search, Dashboard, "show only tasks whose name has this in it", "search"),
    bind(&[c(',')], Action::CursorBack, Dashboard, "look back in time: set or move the time cursor left", "look back"),
    bind(&[c('.')], Action::CursorForward, Dashboard, "move the time cursor right", ""),
    bind(&[c('r')], Action::RunAgain, Dashboard, "run again from the start, as the script's file is now", "run again"),
    bind(&[c('e')], Action::Edit, Dashboard, "edit the script, in $VISUAL or $EDITOR; r then runs it", "edit"),
    bind(&[c('v')], Action::ShowOutcome, Dashboard, "view the whole outcome of the run", "outcome"),
    bind(&[c('n')], Action::ShowFindings, Dashboard, "look for what is wrong with the run, with the evidence", "findings"),
    bind(&[c('<'), c('[')], Action::Slower, Dashboard, "run slower (virtual clock)", "slower"),
    bind(&[c('>'), c(']')], Action::Faster, Dashboard, "run faster (virtual clock)", "faster"),
    bind(&[c('m')], Action::SpeedMax, Dashboard, "run as fast as it goes (virtual clock)", ""),
    bind(&[c('g')], Action::Follow, Dashboard, "follow the run live", "live"),
    bind(&[c('a')], Action::SwitchAxis, Dashboard, "switch the axis between time and polls", "axis"),
    bind(&[k(Code::Tab)], Action::NextPane, Dashboard, "go to the next pane", "pane"),
    bind(&[k(Code::BackTab)], Action::PreviousPane, Dashboard, "go to the pane before", ""),
    bind(&[c('P')], Action::PreviousPage, Dashboard, "show the page before", ""),
    bind(&[c('w')], Action::ShowPage(Page::Wakes), Dashboard, "show who woke the selected task", ""),
    bind(&[c('S')], Action::SortByNext, Dashboard, "put the tasks in order by the next column", "sort"),
    bind(&[c('I')], Action::SortOtherWay, Dashboard, "put the tasks in order the other way round", ""),
    bind(&[c('1'), c('2'), c('3'), c('4'), c('5'), c('6'), c('7'), c('8'), c('9')], Action::ShowTab(0), Dashboard, "show the tab of this number", "tab"),
    bind(&[c('}')], Action::NextTab, Dashboard, "show the next tab", ""),
    bind(&[c('{')], Action::PreviousTab, Dashboard, "show the tab before", ""),
    bind(&[c('A')], Action::Attach, Dashboard, "attach to a tokio program too, in a tab of its own", ""),
    bind(&[c('W')], Action::Save, Dashboard, "save what was seen so far to a file, for `loopscope open`", ""),
    bind(&[c('x')], Action::CloseTab, Dashboard, "close the tab, and end what is in it if it is ours", "close tab"),
    bind(&[c('u')], Action::UndoView, Dashboard, "undo the last pan, zoom or fit", "undo"),
    bind(&[c('k'), k(Code::Up)], Action::Move(Step::Up), Dashboard, "select the task above, or scroll up", ""),
    bind(&[c('j'), k(Code::Down)], Action::Move(Step::Down), Dashboard, "select the task below, or scroll down", ""),
    bind(&[c('h'), k(Code::Left)], Action::Move(Step::Left), Dashboard, "pan to earlier", ""),
    bind(&[c('l'), k(Code::Right)], Action::Move(Step::Right), Dashboard, "pan to later", ""),
    bind(&[k(Code::PageUp)], Action::Move(Step::PageUp), Dashboard, "one page up", ""),
    bind(&[k(Code::PageDown)], Action::Move(Step::PageDown), Dashboard, "one page down", ""),
    bind(&[k(Code::Home)], Action::Move(Step::First), Dashboard, "first task", ""),
    bind(&[k(Code::End)], Action::Move(Step::Last), Dashboard, "last task", ""),

    bind(&[k(Code::Enter)], Action::Accept, Picker, "run this workload", "run"),
    bind(&[k(Code::Tab)], Action::NextPane, Picker, "go to the parameters, the script, the list", "parameters"),
    bind(&[k(Code::BackTab)], Action::PreviousPane, Picker, "go to the pane before", ""),
    bind(&[c('A')], Action::Attach, Picker, "attach to a tokio program that uses console-subscriber", "attach"),
    bind(&[c('/')], Action::Search, Picker, "show only workloads with this in name or title", "search"),
    bind(&[c('k'), k(Code::Up)], Action::Move(Step::Up), Picker, "up", "up"),
    bind(&[c('j'), k(Code::Down)], Action::Move(Step::Down), Picker, "down", "down"),
    bind(&[k(Code::PageUp)], Action::Move(Step::PageUp), Picker, "one page up", ""),
    bind(&[k(Code::PageDown)], Action::Move(Step::PageDown), Picker, "one page down", ""),
    bind(&[k(Code::Home), c('g')], Action::Move(Step::First), Picker, "first", ""),
    bind(&[k(Code::End), c('G')], Action::Move(Step::Last), Picker, "last", ""),

    bind(&[k(Code::Enter)], Action::Accept, Form, "run with these parameters", "run"),
    bind(&[k(Code::Up)], Action::Move(Step::Up), Form, "the field above", "field above"),
    bind(&[k(Code::Down)], Action::Move(Step::Down), Form, "the field below", "field below"),
    bind(&[k(Code::Left)], Action::Move(Step::Left), Form, "left in the text, or the choice before", ""),
    bind(&[k(Code::Right)], Action::Move(Step::Right), Form, "right in the text, or the next choice", "choose"),
    bind(&[k(Code::Tab)], Action::NextPane, Form, "go to the script", "script"),
    bind(&[k(Code::BackTab)], Action::PreviousPane, Form, "back to the list", ""),

    bind(&[k(Code::Enter)], Action::Accept, Prompt, "do it", "ok"),
    bind(&[k(Code::Up)], Action::Move(Step::Up), Prompt, "the entry above", ""),
    bind(&[k(Code::Down)], Action::Move(Step::Down), Prompt, "the entry below", ""),
    bind(&[k(Code::Left)], Action::Move(Step::Left), Prompt, "left in the text", ""),
    bind(&[k(Code::Right)], Action::Move(Step::Right), Prompt, "right in the text", ""),

    bind(&[k(Code::Up), c('k')], Action::Move(Step::Up), Reading, "scroll up", "up"),
    bind(&[k(Code::Down), c('j')], Action::Move(Step::Down), Reading, "scroll down", "down"),
    bind(&[k(Code::PageUp)], Action::Move(Step::PageUp), Reading, "one page up", ""),
    bind(&[k(Code::PageDown), c(' ')], Action::Move(Step::PageDown), Reading, "one page down", ""),
    bind(&[k(Code::Home)], Action::Move(Step::First), Reading, "to the top", ""),
    bind(&[k(Code::End)], Action::Move(Step::Last), Reading, "to the end", ""),
    bind(&[k(Code::Enter), c('q'), c('?')], Action::Back, Reading, "close", "close"),

    bind(&[c(':')], Action::Palette, Everywhere, "type a command, such as: speed 60, goto 10s", "commands"),
    bind(&[c('?')], Action::Help, Everywhere, "show all keys and what the marks mean", "help"),
    bind(&[k(Code::Escape)], Action::Back, Everywhere, "back: close, clear, or leave the run", "back"),
    bind(&[c('q'), Key::control('c')], Action::Quit, Everywhere, "quit", "quit"),
    bind(&[Key::control('z')], Action::Suspend, Everywhere, "back to the shell for a while; fg comes back", ""),
    bind(&[k(Code::Backspace)], Action::EraseBack, Form, "erase the character before", ""),
    bind(&[k(Code::Delete)], Action::EraseForward, Form, "erase the character after", ""),
    bind(&[Key::control('u')], Action::EraseLine, Form, "erase the line", ""),
    bind(&[k(Code::Backspace)], Action::EraseBack, Prompt, "erase the character before", ""),
    bind(&[k(Code::Delete)], Action::EraseForward, Prompt, "erase the character after", ""),
    bind(&[Key::control('u')], Action::EraseLine, Prompt, "erase the line", ""),
];

impl Scope {
    /// Whether characters are text here rather than commands.
    pub fn is_text(self) -> bool {
        matches!(self, Self::Form | Self::Prompt)
    }
}

/// What `key` means in `scope`.
pub fn action(scope: Scope, key: Key) -> Option<Action> {
    let in_scope = |wanted: Scope| BINDINGS.iter().find(|line| line.scope == wanted && line.keys.contains(&key));
    let text = match key {
        Key { code: Code::Char(char), control: false } if scope.is_text() => Some(Action::Type(char)),
        _ => None,
    };
    let meant = |line: &Binding| match (line.action, key.code) {
        // One line of the table for nine keys: the digit is in the key.
        (Action::ShowTab(_), Code::Char(digit)) => Action::ShowTab(digit.to_digit(10).unwrap_or(0) as usize),
        (action, _) => action,
    };
    text.or_else(|| in_scope(scope).or_else(|| in_scope(Everywhere)).map(meant))
}

/// The lines that count in `scope`, its own first: what its footer and its help show.
pub fn lines(scope: Scope) -> impl Iterator<Item = &'static Binding> {
    let own = BINDINGS.iter().filter(move |line| line.scope == scope);
    // A text that is being read takes every key itself, and closes with the key that quits elsewhere.
    let has_common = !matches!(scope, Everywhere | Reading);
    let common = BINDINGS.iter().filter(move |line| line.scope == Everywhere && has_common);
    own.chain(common.filter(move |line| !scope.is_text() || !matches!(line.keys[0].code, Code::Char(_))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things_in_one_scope() {
        for scope in Scope::ALL {
            let mut keys: Vec<Key> = Vec::new();
            for line in BINDINGS.iter().filter(|line| line.scope == scope) {
                assert!(!line.keys.is_empty() && !line.name.is_empty());
                for key in line.keys {
                    assert!(!keys.contains(key), "{key} twice in {scope:?}");
                    keys.push(*key);
                }
            }
        }
    }

    #[test]
    fn a_digit_is_the_number_of_a_tab() {
        assert_eq!(action(Scope::Dashboard, c('7')), Some(Action::ShowTab(7)));
        assert_eq!(action(Scope::Prompt, c('7')), Some(Action::Type('7')));
    }

    #[test]
    fn letters_are_text_in_a_form_and_keys_elsewhere() {
        assert_eq!(action(Scope::Form, c('q')), Some(Action::Type('q')));
        assert_eq!(action(Scope::Form, Key::control('c')), Some(Action::Quit));
        assert_eq!(action(Scope::Dashboard, c('q')), Some(Action::Quit));
        assert_eq!(action(Scope::Reading, c('q')), Some(Action::Back), "the place's own meaning goes first");
        assert_eq!(action(Scope::Prompt, k(Code::Escape)), Some(Action::Back));
        assert_eq!(action(Scope::Dashboard, c('Z')), None);
    }
}
