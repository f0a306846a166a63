//! The key bindings. Dispatch, footer, help and command palette all use this one table.

use super::action::Action;
use super::input::{KeyCode, KeyPress};
use super::motion::Motion;
use super::page::DashboardPage;

/// The context in which a key binding applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyScope {
    /// Everywhere, unless the current scope has a binding of its own.
    Global,
    /// The dashboard.
    Dashboard,
    /// The picker's list or script.
    Picker,
    /// The list of running apps.
    Apps,
    /// The picker's form, where characters are text.
    Form,
    /// A prompt, where characters are text.
    Prompt,
    /// The help or a message.
    Pager,
}

impl KeyScope {
    /// Returns the heading of the scope in the help.
    pub fn title(self) -> &'static str {
        match self {
            Self::Global => "everywhere",
            Self::Dashboard => "dashboard",
            Self::Picker => "workload picker",
            Self::Apps => "app picker",
            Self::Form => "parameter form",
            Self::Prompt => "search and command prompt",
            Self::Pager => "help and messages",
        }
    }

    /// All scopes.
    pub const ALL: [Self; 7] =
        [Self::Dashboard, Self::Picker, Self::Apps, Self::Form, Self::Prompt, Self::Pager, Self::Global];

    /// Returns the scopes that can be reached from this one without leaving the screen, in the order of the help.
    pub fn help_scopes(self) -> Vec<Self> {
        let of_screen: &[Self] = match self {
            Self::Picker | Self::Form => &[Self::Picker, Self::Form],
            Self::Apps => &[Self::Apps],
            Self::Dashboard | Self::Prompt | Self::Pager | Self::Global => &[Self::Dashboard],
        };
        [of_screen, &[Self::Global, Self::Prompt, Self::Pager]].concat()
    }
}

/// One key binding.
#[derive(Clone, Copy, Debug)]
pub struct KeyBinding {
    /// The keys that trigger the action; the footer shows the first one.
    pub keys: &'static [KeyPress],
    /// The action that is triggered.
    pub action: Action,
    /// The scope in which the keys trigger it.
    pub scope: KeyScope,
    /// Description for the palette and the help.
    pub description: &'static str,
    /// Label in the footer, if there is space for it; empty if the footer never shows the binding.
    pub footer_label: &'static str,
}

const fn bind(
    keys: &'static [KeyPress],
    action: Action,
    scope: KeyScope,
    description: &'static str,
    footer_label: &'static str,
) -> KeyBinding {
    KeyBinding { keys, action, scope, description, footer_label }
}

const fn ch(char: char) -> KeyPress {
    KeyPress::char(char)
}

const fn key_press(code: KeyCode) -> KeyPress {
    KeyPress::new(code)
}

use KeyScope::{Apps, Dashboard, Form, Global, Pager, Picker, Prompt};

/// All key bindings. Within a scope, the footer shows earlier entries first.
#[rustfmt::skip]
pub const BINDINGS: &[KeyBinding] = &[
    bind(&[key_press(KeyCode::Enter)], Action::Accept, Dashboard, "go to the task or time of the row, or show the whole finding", "go to"),
    bind(&[ch(' ')], Action::TogglePause, Dashboard, "pause or resume the loop; for an external app: freeze the view", "pause"),
    bind(&[ch('z')], Action::ToggleProcessFreeze, Dashboard, "stop or continue the whole process that loopscope started", "stop process"),
    bind(&[ch('R')], Action::Reconnect, Dashboard, "retry the connection now", "retry now"),
    bind(&[ch('s')], Action::StepPoll, Dashboard, "step one poll", "step"),
    bind(&[ch('t')], Action::StepTurn, Dashboard, "step one turn of the loop, until no task is scheduled", "turn"),
    bind(&[ch('T')], Action::StepTask, Dashboard, "run until the selected task has been polled", ""),
    bind(&[ch('o')], Action::ToggleHold, Dashboard, "hold or release the selected task", "hold"),
    bind(&[ch('C')], Action::CancelTask, Dashboard, "cancel the selected task at its await", ""),
    bind(&[ch('i')], Action::ToggleDetails, Dashboard, "show or hide the details of the selected task", "details"),
    bind(&[ch('p')], Action::NextPage, Dashboard, "show the next page", "pages"),
    bind(&[ch('+'), ch('=')], Action::ZoomIn, Dashboard, "zoom in", "zoom"),
    bind(&[ch('-'), ch('_')], Action::ZoomOut, Dashboard, "zoom out", ""),
    bind(&[ch('f')], Action::FitAll, Dashboard, "fit the whole run", "fit"),
    bind(&[ch('F')], Action::FitTask, Dashboard, "fit the lifetime of the selected task", ""),
    bind(&[ch('/')], Action::Search, Dashboard, "search names, locations, kinds and states of tasks", "search"),
    bind(&[ch('E')], Action::ToggleEnded, Dashboard, "hide or show the tasks that have ended", "hide ended"),
    bind(&[ch(',')], Action::CursorBack, Dashboard, "look back: set the time cursor, or move it left", "look back"),
    bind(&[ch('.')], Action::CursorForward, Dashboard, "move the time cursor right", ""),
    bind(&[ch('r')], Action::RunAgain, Dashboard, "run again from the start; reloads the script", "run again"),
    bind(&[ch('e')], Action::Edit, Dashboard, "edit the script in $VISUAL or $EDITOR; r then runs it", "edit"),
    bind(&[ch('v')], Action::ShowOutcome, Dashboard, "show the outcome of the run", "outcome"),
    bind(&[ch('n')], Action::ShowFindings, Dashboard, "run the lints and show the findings with their evidence", "findings"),
    bind(&[ch('<'), ch('[')], Action::Slower, Dashboard, "run slower (virtual clock)", "slower"),
    bind(&[ch('>'), ch(']')], Action::Faster, Dashboard, "run faster (virtual clock)", "faster"),
    bind(&[ch('m')], Action::SpeedMax, Dashboard, "run at maximum speed (virtual clock)", ""),
    bind(&[ch('g')], Action::Follow, Dashboard, "follow the run live", "live"),
    bind(&[ch('a')], Action::SwitchAxis, Dashboard, "switch the axis between time and polls", "axis"),
    bind(&[key_press(KeyCode::Tab)], Action::NextPane, Dashboard, "focus the next pane", "pane"),
    bind(&[key_press(KeyCode::BackTab)], Action::PreviousPane, Dashboard, "focus the previous pane", ""),
    bind(&[ch('P')], Action::PreviousPage, Dashboard, "show the previous page", ""),
    bind(&[ch('w')], Action::ShowPage(DashboardPage::Wakes), Dashboard, "show the wakes of the selected task", ""),
    bind(&[ch('S')], Action::SortByNextColumn, Dashboard, "sort the tasks by the next column", "sort"),
    bind(&[ch('I')], Action::ReverseSort, Dashboard, "reverse the sort", ""),
    bind(&[ch('1'), ch('2'), ch('3'), ch('4'), ch('5'), ch('6'), ch('7'), ch('8'), ch('9')], Action::ShowTab(0), Dashboard, "show the tab with this number", "tab"),
    bind(&[ch('}')], Action::NextTab, Dashboard, "show the next tab", ""),
    bind(&[ch('{')], Action::PreviousTab, Dashboard, "show the previous tab", ""),
    bind(&[ch('A')], Action::Attach, Dashboard, "attach to another tokio app, in a new tab", ""),
    bind(&[ch('W')], Action::Save, Dashboard, "save the trace so far to a file, for `loopscope open`", ""),
    bind(&[ch('x')], Action::CloseTab, Dashboard, "close the tab, and end its run or the process that loopscope started", "close tab"),
    bind(&[ch('u')], Action::UndoView, Dashboard, "undo the last pan, zoom or fit", "undo"),
    bind(&[ch('k'), key_press(KeyCode::Up)], Action::Move(Motion::Up), Dashboard, "select the previous task, or scroll up", ""),
    bind(&[ch('j'), key_press(KeyCode::Down)], Action::Move(Motion::Down), Dashboard, "select the next task, or scroll down", ""),
    bind(&[ch('h'), key_press(KeyCode::Left)], Action::Move(Motion::Left), Dashboard, "pan left (earlier)", ""),
    bind(&[ch('l'), key_press(KeyCode::Right)], Action::Move(Motion::Right), Dashboard, "pan right (later)", ""),
    bind(&[key_press(KeyCode::PageUp)], Action::Move(Motion::PageUp), Dashboard, "page up", ""),
    bind(&[key_press(KeyCode::PageDown)], Action::Move(Motion::PageDown), Dashboard, "page down", ""),
    bind(&[key_press(KeyCode::Home)], Action::Move(Motion::First), Dashboard, "select the first task, or scroll to the top", ""),
    bind(&[key_press(KeyCode::End)], Action::Move(Motion::Last), Dashboard, "select the last task, or scroll to the end", ""),

    bind(&[key_press(KeyCode::Enter)], Action::Accept, Picker, "run this workload", "run"),
    bind(&[key_press(KeyCode::Tab)], Action::NextPane, Picker, "focus parameters, script or list", "parameters"),
    bind(&[key_press(KeyCode::BackTab)], Action::PreviousPane, Picker, "focus the previous pane", ""),
    bind(&[ch('A')], Action::Attach, Picker, "attach to a tokio app", "attach"),
    bind(&[ch('/')], Action::Search, Picker, "search: show only workloads whose name or title contains the text", "search"),
    bind(&[ch('k'), key_press(KeyCode::Up)], Action::Move(Motion::Up), Picker, "up", "up"),
    bind(&[ch('j'), key_press(KeyCode::Down)], Action::Move(Motion::Down), Picker, "down", "down"),
    bind(&[key_press(KeyCode::PageUp)], Action::Move(Motion::PageUp), Picker, "page up", ""),
    bind(&[key_press(KeyCode::PageDown)], Action::Move(Motion::PageDown), Picker, "page down", ""),
    bind(&[key_press(KeyCode::Home), ch('g')], Action::Move(Motion::First), Picker, "first", ""),
    bind(&[key_press(KeyCode::End), ch('G')], Action::Move(Motion::Last), Picker, "last", ""),

    bind(&[key_press(KeyCode::Enter)], Action::Accept, Apps, "attach to this app", "attach"),
    bind(&[ch('k'), key_press(KeyCode::Up)], Action::Move(Motion::Up), Apps, "up", "up"),
    bind(&[ch('j'), key_press(KeyCode::Down)], Action::Move(Motion::Down), Apps, "down", "down"),
    bind(&[ch('A')], Action::Attach, Apps, "attach to an app by its address", "address"),
    bind(&[key_press(KeyCode::PageUp)], Action::Move(Motion::PageUp), Apps, "page up", ""),
    bind(&[key_press(KeyCode::PageDown)], Action::Move(Motion::PageDown), Apps, "page down", ""),
    bind(&[key_press(KeyCode::Home), ch('g')], Action::Move(Motion::First), Apps, "first", ""),
    bind(&[key_press(KeyCode::End), ch('G')], Action::Move(Motion::Last), Apps, "last", ""),
    bind(&[key_press(KeyCode::Escape)], Action::Back, Apps, "quit without attaching", ""),

    bind(&[key_press(KeyCode::Enter)], Action::Accept, Form, "run with these parameters", "run"),
    bind(&[key_press(KeyCode::Up)], Action::Move(Motion::Up), Form, "previous field", "previous"),
    bind(&[key_press(KeyCode::Down)], Action::Move(Motion::Down), Form, "next field", "next"),
    bind(&[key_press(KeyCode::Left)], Action::Move(Motion::Left), Form, "cursor left, or previous choice", ""),
    bind(&[key_press(KeyCode::Right)], Action::Move(Motion::Right), Form, "cursor right, or next choice", "choose"),
    bind(&[key_press(KeyCode::Tab)], Action::NextPane, Form, "focus the script", "script"),
    bind(&[key_press(KeyCode::BackTab)], Action::PreviousPane, Form, "focus the list", ""),

    bind(&[key_press(KeyCode::Enter)], Action::Accept, Prompt, "confirm", "ok"),
    bind(&[key_press(KeyCode::Up)], Action::Move(Motion::Up), Prompt, "previous entry", ""),
    bind(&[key_press(KeyCode::Down)], Action::Move(Motion::Down), Prompt, "next entry", ""),
    bind(&[key_press(KeyCode::Left)], Action::Move(Motion::Left), Prompt, "cursor left", ""),
    bind(&[key_press(KeyCode::Right)], Action::Move(Motion::Right), Prompt, "cursor right", ""),

    bind(&[key_press(KeyCode::Up), ch('k')], Action::Move(Motion::Up), Pager, "scroll up", "up"),
    bind(&[key_press(KeyCode::Down), ch('j')], Action::Move(Motion::Down), Pager, "scroll down", "down"),
    bind(&[key_press(KeyCode::PageUp)], Action::Move(Motion::PageUp), Pager, "page up", ""),
    bind(&[key_press(KeyCode::PageDown), ch(' ')], Action::Move(Motion::PageDown), Pager, "page down", ""),
    bind(&[key_press(KeyCode::Home)], Action::Move(Motion::First), Pager, "to the top", ""),
    bind(&[key_press(KeyCode::End)], Action::Move(Motion::Last), Pager, "to the end", ""),
    bind(&[key_press(KeyCode::Enter)], Action::Accept, Pager, "close; for a finding, go to its task and time", "close"),
    bind(&[ch('q'), ch('?')], Action::Back, Pager, "close", ""),

    bind(&[ch(':')], Action::Palette, Global, "enter a command, such as `speed 60` or `goto 10s`", "commands"),
    bind(&[ch('?')], Action::Help, Global, "show the keys of this screen and the marks of the timeline", "help"),
    bind(&[key_press(KeyCode::Escape)], Action::Back, Global, "back: close, clear or leave the run", "back"),
    bind(&[ch('q'), KeyPress::ctrl('c')], Action::Quit, Global, "quit", "quit"),
    bind(&[KeyPress::ctrl('z')], Action::Suspend, Global, "suspend to the shell; `fg` resumes", ""),
    bind(&[key_press(KeyCode::Backspace)], Action::DeleteBackward, Form, "delete the character before the cursor", ""),
    bind(&[key_press(KeyCode::Delete)], Action::DeleteForward, Form, "delete the character after the cursor", ""),
    bind(&[KeyPress::ctrl('u')], Action::ClearLine, Form, "clear the line", ""),
    bind(&[key_press(KeyCode::Backspace)], Action::DeleteBackward, Prompt, "delete the character before the cursor", ""),
    bind(&[key_press(KeyCode::Delete)], Action::DeleteForward, Prompt, "delete the character after the cursor", ""),
    bind(&[KeyPress::ctrl('u')], Action::ClearLine, Prompt, "clear the line", ""),
];

/// Something that the mouse does.
#[derive(Clone, Copy, Debug)]
pub struct MouseBinding {
    /// What the user does with the mouse.
    pub gesture: &'static str,
    /// The scope in which it applies.
    pub scope: KeyScope,
    /// Description for the help.
    pub description: &'static str,
}

/// All mouse bindings, for the help.
pub const MOUSE_BINDINGS: &[MouseBinding] = &[
    MouseBinding {
        gesture: "click",
        scope: Dashboard,
        description: "select a task; on its lane: set the time cursor; on a column title: sort",
    },
    MouseBinding { gesture: "click", scope: Dashboard, description: "on a worker: select the task that it polls" },
    MouseBinding { gesture: "wheel", scope: Dashboard, description: "scroll; with ctrl or shift: zoom at the pointer" },
    MouseBinding { gesture: "click", scope: Picker, description: "choose a workload, or focus a pane" },
    MouseBinding { gesture: "click", scope: Apps, description: "choose an app" },
    MouseBinding { gesture: "wheel", scope: Apps, description: "previous or next app" },
    MouseBinding { gesture: "wheel", scope: Picker, description: "previous or next workload; on the script: scroll" },
];

/// Formats keys for the user: `pgdn space`, and `1 to 9` for three or more consecutive characters.
pub fn format_keys(keys: &[KeyPress]) -> String {
    let code = |key: &KeyPress| match *key {
        KeyPress { code: KeyCode::Char(char), ctrl: false } => Some(u32::from(char)),
        _ => None,
    };
    let is_run = keys.len() > 2
        && keys.windows(2).all(|pair| code(&pair[0]).is_some_and(|first| code(&pair[1]) == Some(first + 1)));
    match keys {
        [first, .., last] if is_run => format!("{first} to {last}"),
        keys => keys.iter().map(KeyPress::to_string).collect::<Vec<_>>().join(" "),
    }
}

impl KeyScope {
    /// Whether character keys insert text in this scope.
    pub fn is_text_input(self) -> bool {
        matches!(self, Self::Form | Self::Prompt)
    }
}

/// Returns the action that `key` triggers in `scope`.
pub fn action_for(scope: KeyScope, key: KeyPress) -> Option<Action> {
    let in_scope =
        |wanted: KeyScope| BINDINGS.iter().find(|binding| binding.scope == wanted && binding.keys.contains(&key));
    let text = match key {
        KeyPress { code: KeyCode::Char(char), ctrl: false } if scope.is_text_input() => Some(Action::InsertChar(char)),
        _ => None,
    };
    let meant = |binding: &KeyBinding| match (binding.action, key.code) {
        // One binding covers all digits: the key holds the number of the tab.
        (Action::ShowTab(_), KeyCode::Char(digit)) => Action::ShowTab(digit.to_digit(10).unwrap_or(0) as usize),
        (action, _) => action,
    };
    text.or_else(|| in_scope(scope).or_else(|| in_scope(Global)).map(meant))
}

/// Returns the bindings that apply in `scope`, its own first, as footer and help list them.
pub fn bindings_for(scope: KeyScope) -> impl Iterator<Item = &'static KeyBinding> {
    let own = BINDINGS.iter().filter(move |binding| binding.scope == scope);
    let is_replaced = move |key: &KeyPress| {
        BINDINGS.iter().any(|binding| binding.scope == scope && scope != Global && binding.keys.contains(key))
    };
    // The pager handles every key itself, and closes on the key that quits elsewhere.
    let has_common = !matches!(scope, Global | Pager);
    let common = BINDINGS.iter().filter(move |binding| binding.scope == Global && has_common);
    let common = common.filter(move |binding| !binding.keys.iter().any(is_replaced));
    own.chain(common.filter(move |binding| !scope.is_text_input() || !matches!(binding.keys[0].code, KeyCode::Char(_))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_unique_within_a_scope() {
        for scope in KeyScope::ALL {
            let mut keys: Vec<KeyPress> = Vec::new();
            for binding in BINDINGS.iter().filter(|binding| binding.scope == scope) {
                assert!(!binding.keys.is_empty() && !binding.description.is_empty());
                for key in binding.keys {
                    assert!(!keys.contains(key), "{key} twice in {scope:?}");
                    keys.push(*key);
                }
            }
        }
    }

    #[test]
    fn formats_runs_of_keys_as_ranges() {
        assert_eq!(format_keys(&[ch('1'), ch('2'), ch('3')]), "1 to 3");
        assert_eq!(format_keys(&[ch('1'), ch('2')]), "1 2");
        assert_eq!(format_keys(&[key_press(KeyCode::PageDown), ch(' ')]), "pgdn space");
    }

    #[test]
    fn digits_select_tabs() {
        assert_eq!(action_for(KeyScope::Dashboard, ch('7')), Some(Action::ShowTab(7)));
        assert_eq!(action_for(KeyScope::Prompt, ch('7')), Some(Action::InsertChar('7')));
    }

    #[test]
    fn characters_are_text_only_in_text_scopes() {
        assert_eq!(action_for(KeyScope::Form, ch('q')), Some(Action::InsertChar('q')));
        assert_eq!(action_for(KeyScope::Form, KeyPress::ctrl('c')), Some(Action::Quit));
        assert_eq!(action_for(KeyScope::Dashboard, ch('q')), Some(Action::Quit));
        assert_eq!(action_for(KeyScope::Pager, ch('q')), Some(Action::Back), "a binding of the scope takes precedence");
        assert_eq!(action_for(KeyScope::Prompt, key_press(KeyCode::Escape)), Some(Action::Back));
        assert_eq!(action_for(KeyScope::Dashboard, ch('Z')), None);
    }
}
