//! Every style on one page. Panes name what a thing *is*; only this file knows colours.

use ratatui::style::{Color, Modifier, Style};

use crate::trace::{AwaitKind, State};

/// Which colours a terminal gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Palette {
    /// The terminal's own sixteen colours: they fit whatever background the person chose.
    #[default]
    Ansi16,
    /// Colours of our own, for terminals with 24 bits of them.
    Rgb,
    /// No colour at all: bold, reverse and underline. For `NO_COLOR`.
    Mono,
}

/// How the screen looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Theme {
    pub palette: Palette,
    /// Nothing but ASCII, borders and all.
    pub ascii: bool,
}

/// What a thing on the screen is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Text,
    /// Labels, units and what is only there for orientation.
    Dim,
    Strong,
    /// Lines and borders.
    Rule,
    /// The rule of the pane that has the keys.
    RuleFocused,
    Title,
    Key,
    Running,
    Poll,
    Scheduled,
    /// A share of the time, where single polls were not seen.
    Share,
    ScheduledShare,
    Waiting(AwaitKind),
    Held,
    Done,
    Cancelled,
    Failed,
    /// The selected row.
    Selected,
    /// The column of the time cursor.
    Cursor,
    PhaseRunning,
    PhasePaused,
    PhaseEnded,
    PhaseLost,
    /// Something that the person should know: a loss, a look back in time.
    Warning,
    Error,
    /// The place where typing goes.
    Caret,
}

impl Role {
    /// The role of a state.
    pub fn of(state: State) -> Self {
        match state {
            State::Running => Self::Running,
            State::Scheduled => Self::Scheduled,
            State::Waiting(_, kind) => Self::Waiting(kind),
            State::Held => Self::Held,
            State::Done => Self::Done,
            State::Cancelled => Self::Cancelled,
            State::Failed => Self::Failed,
        }
    }
}

impl Theme {
    /// The style of `role`.
    pub fn style(&self, role: Role) -> Style {
        match self.palette {
            Palette::Mono => mono(role),
            Palette::Ansi16 => coloured(role, ansi16),
            Palette::Rgb => coloured(role, rgb),
        }
    }
}

/// The hues that both coloured palettes have.
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
            AwaitKind::Block => Hue::Red,
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
