//! Input events in terms of our own, so that tests can type keys without a terminal.

use std::fmt;

/// One input event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputEvent {
    /// A key press.
    Key(KeyPress),
    /// A mouse action.
    Mouse(MouseInput),
    /// The terminal was resized; the event loop reads the new size when it draws.
    Resize,
    /// A signal arrived, with its number.
    Signal(i32),
    /// The terminal was lost, with the reason.
    TerminalLost(String),
}

/// A key of the keyboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyCode {
    /// A character key.
    Char(char),
    /// Enter.
    Enter,
    /// Escape.
    Escape,
    /// Tab.
    Tab,
    /// Shift-tab.
    BackTab,
    /// Backspace.
    Backspace,
    /// Delete.
    Delete,
    /// Arrow up.
    Up,
    /// Arrow down.
    Down,
    /// Arrow left.
    Left,
    /// Arrow right.
    Right,
    /// Page up.
    PageUp,
    /// Page down.
    PageDown,
    /// Home.
    Home,
    /// End.
    End,
}

/// One key press. Shift is part of the character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPress {
    /// The key.
    pub code: KeyCode,
    /// Whether control is down.
    pub ctrl: bool,
}

impl KeyPress {
    /// A key without control.
    pub const fn new(code: KeyCode) -> Self {
        Self { code, ctrl: false }
    }

    /// A character key.
    pub const fn char(char: char) -> Self {
        Self::new(KeyCode::Char(char))
    }

    /// A character key with control.
    pub const fn ctrl(char: char) -> Self {
        Self { code: KeyCode::Char(char), ctrl: true }
    }
}

impl fmt::Display for KeyPress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ctrl {
            f.write_str("ctrl-")?;
        }
        f.write_str(match self.code {
            KeyCode::Char(' ') => "space",
            KeyCode::Char(char) => return write!(f, "{char}"),
            KeyCode::Enter => "enter",
            KeyCode::Escape => "esc",
            KeyCode::Tab => "tab",
            KeyCode::BackTab => "shift-tab",
            KeyCode::Backspace => "backspace",
            KeyCode::Delete => "delete",
            KeyCode::Up => "↑",
            KeyCode::Down => "↓",
            KeyCode::Left => "←",
            KeyCode::Right => "→",
            KeyCode::PageUp => "pgup",
            KeyCode::PageDown => "pgdn",
            KeyCode::Home => "home",
            KeyCode::End => "end",
        })
    }
}

/// The kind of a mouse action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MouseKind {
    /// The left button was pressed.
    Press,
    /// The mouse moved with the left button down.
    Drag,
    /// The wheel was turned up.
    WheelUp,
    /// The wheel was turned down.
    WheelDown,
    /// The wheel was turned left.
    WheelLeft,
    /// The wheel was turned right.
    WheelRight,
}

/// A mouse action at a cell of the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MouseInput {
    /// What happened.
    pub kind: MouseKind,
    /// Column of the cell, from 0.
    pub column: u16,
    /// Row of the cell, from 0.
    pub row: u16,
    /// Whether control, shift or alt is down: the wheel then zooms instead of scrolling.
    pub is_zoom: bool,
}
