//! What comes in: keys and the mouse on one thread, signals on another, all into one channel.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use crossterm::event::{
    self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

use crate::app::{Code, Input, Key, Mouse, MouseKind};

/// Inputs that may wait; the person is slower than the screen, but a held wheel is not.
const WAITING_MAX: usize = 1_024;
/// How long the reading thread sleeps before it looks whether it should end.
const STOP_CHECK: Duration = Duration::from_millis(200);

/// The threads that read; they end when this is dropped.
pub struct Inputs {
    receiver: Receiver<Input>,
    stop: Arc<AtomicBool>,
    signals: Handle,
}

impl Inputs {
    /// Begins to read.
    pub fn start() -> io::Result<Self> {
        let (sender, receiver) = crossbeam_channel::bounded(WAITING_MAX);
        let mut signals = Signals::new([SIGTERM, SIGHUP, SIGINT])?;
        let handle = signals.handle();
        let signal_sender = sender.clone();
        thread::Builder::new().name("signals".into()).spawn(move || {
            for (count, signal) in signals.forever().enumerate() {
                if count > 0 {
                    // Whoever asks twice was not heard: the screen's own thread is stuck.
                    super::guard::restore();
                    std::process::exit(128 + signal);
                }
                if signal_sender.send(Input::Signal(signal)).is_err() {
                    break;
                }
            }
        })?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        thread::Builder::new().name("keys".into()).spawn(move || read(&sender, &stopped))?;
        Ok(Self { receiver, stop, signals: handle })
    }

    /// Where everything arrives.
    pub fn receiver(&self) -> Receiver<Input> {
        self.receiver.clone()
    }
}

impl Drop for Inputs {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.signals.close();
    }
}

fn read(sender: &Sender<Input>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let event = match event::poll(STOP_CHECK) {
            Ok(false) => continue,
            Ok(true) => event::read(),
            Err(error) => Err(error),
        };
        let input = match event {
            Ok(event) => translate(&event),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => None,
            Err(error) => Some(Input::Lost(error.to_string())),
        };
        let is_end = matches!(input, Some(Input::Lost(_)));
        if let Some(input) = input
            && sender.send(input).is_err()
        {
            return;
        }
        if is_end {
            return;
        }
    }
}

/// The terminal's event in our words; `None` for what means nothing here.
fn translate(event: &Event) -> Option<Input> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => translate_key(key).map(Input::Key),
        Event::Mouse(mouse) => translate_mouse(mouse).map(Input::Mouse),
        Event::Resize(..) | Event::FocusGained => Some(Input::Resize),
        _ => None,
    }
}

fn translate_key(key: &KeyEvent) -> Option<Key> {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    let code = match key.code {
        KeyCode::Char(_) if key.modifiers.contains(KeyModifiers::ALT) => return None,
        KeyCode::Char(char) if control => Code::Char(char.to_ascii_lowercase()),
        KeyCode::Char(char) => Code::Char(char),
        KeyCode::Enter => Code::Enter,
        KeyCode::Esc => Code::Escape,
        KeyCode::Tab => Code::Tab,
        KeyCode::BackTab => Code::BackTab,
        KeyCode::Backspace => Code::Backspace,
        KeyCode::Delete => Code::Delete,
        KeyCode::Up => Code::Up,
        KeyCode::Down => Code::Down,
        KeyCode::Left => Code::Left,
        KeyCode::Right => Code::Right,
        KeyCode::PageUp => Code::PageUp,
        KeyCode::PageDown => Code::PageDown,
        KeyCode::Home => Code::Home,
        KeyCode::End => Code::End,
        _ => return None,
    };
    Some(Key { code, control: control && matches!(code, Code::Char(_)) })
}

fn translate_mouse(mouse: &MouseEvent) -> Option<Mouse> {
    let kind = match mouse.kind {
        MouseEventKind::Down(MouseButton::Left) => MouseKind::Press,
        MouseEventKind::Drag(MouseButton::Left) => MouseKind::Drag,
        MouseEventKind::ScrollUp => MouseKind::WheelUp,
        MouseEventKind::ScrollDown => MouseKind::WheelDown,
        MouseEventKind::ScrollLeft => MouseKind::WheelLeft,
        MouseEventKind::ScrollRight => MouseKind::WheelRight,
        _ => return None,
    };
    let zooming = mouse.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::SHIFT | KeyModifiers::ALT);
    Some(Mouse { kind, column: mouse.column, row: mouse.row, zooming })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_arrive_as_what_was_typed() {
        let key = |code, modifiers| translate_key(&KeyEvent::new(code, modifiers));
        assert_eq!(key(KeyCode::Char('T'), KeyModifiers::SHIFT), Some(Key::char('T')));
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Key::control('c')));
        assert_eq!(key(KeyCode::Char('x'), KeyModifiers::ALT), None);
        assert_eq!(key(KeyCode::Up, KeyModifiers::CONTROL), Some(Key::new(Code::Up)));
        let release = KeyEvent { kind: KeyEventKind::Release, ..KeyEvent::from(KeyCode::Enter) };
        assert_eq!(translate(&Event::Key(release)), None);
    }
}
