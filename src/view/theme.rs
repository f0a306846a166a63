//! Styles. Panes use roles; only this file maps roles to colours.

use ratatui::style::{Color, Modifier, Style};

use crate::trace::{AwaitKind, Task, TaskState};

/// Set of colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Palette {
    /// The terminal's 16 colours, which fit the user's background.
    #[default]
    Ansi16,
    /// 24-bit colours.
    Rgb,
    /// No colours: bold, reverse and underline only. For `NO_COLOR`.
    Mono,
}

/// Colours and character set of the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Theme {
    /// Set of colours.
    pub palette: Palette,
    /// Whether only ASCII characters are used, including borders.
    pub ascii: bool,
}

/// Meaning of an element on the screen; determines its style.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Normal text.
    Text,
    /// Labels, units and other secondary text.
    Dim,
    /// Emphasized text.
    Strong,
    /// Lines and borders.
    Rule,
    /// The rule of the focused pane.
    RuleFocused,
    /// Title of a pane.
    Title,
    /// A key, or something that a key does.
    Key,
    /// A running task.
    Running,
    /// A short poll.
    Poll,
    /// A task that was woken and not polled yet.
    Scheduled,
    /// Share of time running, in a sampled trace.
    Share,
    /// Share of time scheduled, in a sampled trace.
    ScheduledShare,
    /// A task that waits on an await of this kind.
    Waiting(AwaitKind),
    /// A task held by the user.
    Held,
    /// A completed task.
    Done,
    /// A cancelled task.
    Cancelled,
    /// A failed task.
    Failed,
    /// The selected row.
    Selected,
    /// The column of the time cursor.
    Cursor,
    /// Chip: running.
    PhaseRunning,
    /// Chip: paused.
    PhasePaused,
    /// Chip: ended.
    PhaseEnded,
    /// Chip: connection lost.
    PhaseLost,
    /// Something that needs attention: dropped events, a time cursor.
    Warning,
    /// An error.
    Error,
    /// The input caret.
    Caret,
}

impl Role {
    /// Role of a row of a task. Workers, `block_on` futures and blocking closures are dimmed.
    pub fn of_row(task: &Task, is_selected: bool) -> Self {
        match (is_selected, task.meta.kind.is_task()) {
            (true, _) => Self::Selected,
            (false, true) => Self::Text,
            (false, false) => Self::Dim,
        }
    }

    /// Role of a task state.
    pub fn of(state: TaskState) -> Self {
        match state {
            TaskState::Running => Self::Running,
            TaskState::Scheduled => Self::Scheduled,
            TaskState::Waiting(_, kind) => Self::Waiting(kind),
            TaskState::Held => Self::Held,
            TaskState::Completed | TaskState::Ended => Self::Done,
            TaskState::Cancelled => Self::Cancelled,
            TaskState::Failed => Self::Failed,
        }
    }
}

impl Theme {
    /// Style of `role`.
    pub fn style(&self, role: Role) -> Style {
        match self.palette {
            Palette::Mono => mono(role),
            Palette::Ansi16 => coloured(role, ansi16),
            Palette::Rgb => coloured(role, rgb),
        }
    }
}

/// Hues of the two coloured palettes.
#[derive(Clone, Copy)]
enum Hue {
    Grey,
    Green,
    Lime,
    Amber,
    Yellow,
    Blue,
    Magenta,
    Cyan,
    Red,
    Black,
}

fn ansi16(hue: Hue) -> Color {
    match hue {
        Hue::Grey => Color::DarkGray,
        Hue::Green => Color::Green,
        Hue::Lime => Color::LightGreen,
        Hue::Amber => Color::LightYellow,
        Hue::Yellow => Color::Yellow,
        Hue::Blue => Color::Blue,
        Hue::Magenta => Color::Magenta,
        Hue::Cyan => Color::Cyan,
        Hue::Red => Color::Red,
        Hue::Black => Color::Black,
    }
}

fn rgb(hue: Hue) -> Color {
    match hue {
        Hue::Grey => Color::Rgb(0x80, 0x88, 0x94),
        Hue::Green => Color::Rgb(0x6c, 0xc6, 0x6c),
        Hue::Lime => Color::Rgb(0xb8, 0xe2, 0x8a),
        Hue::Amber => Color::Rgb(0xf2, 0xd4, 0x8c),
        Hue::Yellow => Color::Rgb(0xe5, 0xb5, 0x4a),
        Hue::Blue => Color::Rgb(0x5f, 0x9b, 0xe6),
        Hue::Magenta => Color::Rgb(0xc6, 0x82, 0xd9),
        Hue::Cyan => Color::Rgb(0x4f, 0xc1, 0xc4),
        Hue::Red => Color::Rgb(0xe8, 0x6a, 0x6a),
        Hue::Black => Color::Rgb(0x12, 0x14, 0x18),
    }
}

fn coloured(role: Role, colour: fn(Hue) -> Color) -> Style {
    let plain = Style::new();
    let ink = |hue| plain.fg(colour(hue));
    let chip = |hue| plain.fg(colour(Hue::Black)).bg(colour(hue)).add_modifier(Modifier::BOLD);
    match role {
        Role::Text => plain,
        Role::Dim | Role::Rule => ink(Hue::Grey),
        Role::Strong | Role::Title => plain.add_modifier(Modifier::BOLD),
        Role::RuleFocused | Role::Key => ink(Hue::Cyan),
        Role::Running | Role::Poll => ink(Hue::Green).add_modifier(Modifier::BOLD),
        Role::Share => ink(Hue::Lime),
        Role::ScheduledShare => ink(Hue::Amber),
        Role::Scheduled | Role::Warning => ink(Hue::Yellow),
        Role::Waiting(kind) => ink(match kind {
            AwaitKind::Timer => Hue::Blue,
            AwaitKind::Task => Hue::Magenta,
            AwaitKind::Sync => Hue::Yellow,
            AwaitKind::Channel | AwaitKind::Io => Hue::Cyan,
            AwaitKind::BlockingCall => Hue::Red,
            AwaitKind::Yield | AwaitKind::Other => Hue::Grey,
        }),
        Role::Held => ink(Hue::Magenta).add_modifier(Modifier::BOLD),
        Role::Done => ink(Hue::Green),
        Role::Cancelled => ink(Hue::Yellow),
        Role::Failed | Role::Error => ink(Hue::Red).add_modifier(Modifier::BOLD),
        Role::Selected => plain.add_modifier(Modifier::BOLD | Modifier::REVERSED),
        Role::Cursor | Role::Caret => plain.add_modifier(Modifier::REVERSED),
        Role::PhaseRunning => chip(Hue::Green),
        Role::PhasePaused => chip(Hue::Yellow),
        Role::PhaseEnded => chip(Hue::Blue),
        Role::PhaseLost => chip(Hue::Red),
    }
}

fn mono(role: Role) -> Style {
    let plain = Style::new();
    match role {
        Role::Strong | Role::Title | Role::Key | Role::Running | Role::Poll | Role::Held | Role::RuleFocused => {
            plain.add_modifier(Modifier::BOLD)
        }
        Role::Failed | Role::Error | Role::Warning => plain.add_modifier(Modifier::BOLD | Modifier::UNDERLINED),
        Role::Selected | Role::PhasePaused | Role::PhaseEnded | Role::PhaseRunning | Role::PhaseLost => {
            plain.add_modifier(Modifier::BOLD | Modifier::REVERSED)
        }
        Role::Cursor | Role::Caret => plain.add_modifier(Modifier::REVERSED),
        _ => plain,
    }
}
