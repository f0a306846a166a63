//! What comes in from the person and the machine, in words of our own, so that tests type keys without a terminal.

use std::fmt;

/// One thing that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    Key(Key),
    Mouse(Mouse),
    /// The terminal has a new size; the frame loop asks for it when it draws.
    Resize,
    /// The system asked the program to end, with this signal.
    Signal(i32),
    /// The terminal is gone, and why.
    Lost(String),
}

/// Which key of the keyboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    Char(char),
    Enter,
    Escape,
    Tab,
    BackTab,
    Backspace,
    Delete,
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    Home,
    End,
}

/// One key press. Shift is in the character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    pub code: Code,
    pub control: bool,
}

impl Key {
    /// `code` without control.
    pub const fn new(code: Code) -> Self {
        Self { code, control: false }
    }

    /// A character key.
    pub const fn char(char: char) -> Self {
        Self::new(Code::Char(char))
    }

    /// A character key with control.
    pub const fn control(char: char) -> Self {
        Self { code: Code::Char(char), control: true }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.control {
            f.write_str("ctrl-")?;
        }
        f.write_str(match self.code {
            Code::Char(' ') => "space",
            Code::Char(char) => return write!(f, "{char}"),
            Code::Enter => "enter",
            Code::Escape => "esc",
            Code::Tab => "tab",
            Code::BackTab => "shift-tab",
            Code::Backspace => "backspace",
            Code::Delete => "delete",
            Code::Up => "↑",
            Code::Down => "↓",
            Code::Left => "←",
            Code::Right => "→",
            Code::PageUp => "pgup",
            Code::PageDown => "pgdn",
            Code::Home => "home",
            Code::End => "end",
        })
    }
}

/// What the mouse did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MouseKind {
    Press,
    Drag,
    WheelUp,
    WheelDown,
    WheelLeft,
    WheelRight,
}

/// The mouse did something at a cell of the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mouse {
    pub kind: MouseKind,
    pub column: u16,
    pub row: u16,
    /// Control, shift or alt is down: the wheel zooms instead of scrolling.
    pub zooming: bool,
}
