//! What comes in: keys and the mouse on one thread, signals on another, all into one channel.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, SendTimeoutError, Sender};
use crossterm::event::{
    self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};
use signal_hook::SigId;
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGTSTP};
use signal_hook::iterator::{Handle, Signals};

use crate::app::{Code, Input, Key, Mouse, MouseKind};

/// Inputs that may wait; the person is slower than the screen, but a held wheel is not.
const WAITING_MAX: usize = 1_024;
/// How long the reading thread sleeps before it looks whether it should end.
const STOP_CHECK: Duration = Duration::from_millis(100);

/// Who heeds signals until the screen does.
static EARLY: Mutex<Option<Early>> = Mutex::new(None);

struct Early {
    signals: Handle,
    /// The signal that came last: it may have come just before the screen heeds them, and then nobody has acted on it.
    came: Arc<AtomicUsize>,
    flags: Vec<SigId>,
}

impl Early {
    /// Leaves signals to somebody else. Gives the one that has come already.
    fn close(self) -> Option<i32> {
        self.signals.close();
        for flag in self.flags {
            signal_hook::low_level::unregister(flag);
        }
        i32::try_from(self.came.load(Ordering::SeqCst)).ok().filter(|signal| *signal != 0)
    }
}

/// From now on, until there is a screen, a signal ends the program with all that belongs to it: to be called before anything
/// is started that must not be left behind.
///
/// # Errors
/// Where the system gives no thread.
pub fn heed_signals() -> io::Result<()> {
    let mut early = EARLY.lock().unwrap_or_else(PoisonError::into_inner);
    if early.is_none() {
        let wanted = [SIGTERM, SIGHUP, SIGINT];
        let came = Arc::new(AtomicUsize::new(0));
        let flag = |signal: i32| {
            signal_hook::flag::register_usize(signal, Arc::clone(&came), usize::try_from(signal).unwrap_or(0))
        };
        let flags = wanted.into_iter().map(flag).collect::<io::Result<_>>()?;
        let mut signals = Signals::new(wanted)?;
        *early = Some(Early { signals: signals.handle(), came, flags });
        thread::Builder::new().name("signals".into()).spawn(move || signals.forever().next().map(end))?;
    }
    Ok(())
}

/// Ends the program for a signal, at once.
fn end(signal: i32) {
    super::guard::restore();
    crate::belongings::sweep();
    std::process::exit(128 + signal);
}

/// The threads that read; they end when this is dropped.
pub struct Inputs {
    sender: Sender<Input>,
    receiver: Receiver<Input>,
    keys: Option<Keys>,
    signals: Handle,
    /// Somebody else has the terminal, and an interrupt typed there is meant for them.
    is_away: Arc<AtomicBool>,
}

/// The thread that reads keys and the mouse.
struct Keys {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Keys {
    fn start(sender: Sender<Input>) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new().name("keys".into()).spawn(move || read(&sender, &stopped))?;
        Ok(Self { stop, thread })
    }
}

impl Inputs {
    /// Begins to read.
    pub fn start() -> io::Result<Self> {
        let (sender, receiver) = crossbeam_channel::bounded(WAITING_MAX);
        let mut signals = Signals::new([SIGTERM, SIGHUP, SIGINT, SIGTSTP, SIGCONT])?;
        let handle = signals.handle();
        let signal_sender = sender.clone();
        let is_away = Arc::new(AtomicBool::new(false));
        let away = Arc::clone(&is_away);
        thread::Builder::new().name("signals".into()).spawn(move || {
            let mut count = 0;
            for signal in signals.forever() {
                let is_theirs = away.load(Ordering::Relaxed) && [SIGINT, SIGTSTP, SIGCONT].contains(&signal);
                if is_theirs {
                    continue;
                }
                count += u32::from(![SIGTSTP, SIGCONT].contains(&signal));
                if count > 1 {
                    // Whoever asks twice was not heard: the screen's own thread is stuck.
                    end(signal);
                }
                if signal_sender.send(Input::Signal(signal)).is_err() {
                    break;
                }
            }
        })?;
        let early = EARLY.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(signal) = early.and_then(Early::close) {
            // Nothing else waits yet, so there is room.
            let _ = sender.try_send(Input::Signal(signal));
        }
        let keys = Some(Keys::start(sender.clone())?);
        Ok(Self { sender, receiver, keys, signals: handle, is_away })
    }

    /// Leaves what is typed to somebody else. On return nothing is read any more.
    pub fn leave(&mut self) {
        self.is_away.store(true, Ordering::Relaxed);
        if let Some(keys) = self.keys.take() {
            keys.stop.store(true, Ordering::Relaxed);
            // A panic of the thread has told itself; there is nothing more to be had of it.
            let _ = keys.thread.join();
        }
    }

    /// Reads again.
    pub fn come_back(&mut self) -> io::Result<()> {
        self.keys = Some(Keys::start(self.sender.clone())?);
        self.is_away.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Where everything arrives.
    pub fn receiver(&self) -> Receiver<Input> {
        self.receiver.clone()
    }
}

impl Drop for Inputs {
    fn drop(&mut self) {
        if let Some(keys) = &self.keys {
            keys.stop.store(true, Ordering::Relaxed);
        }
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
        if input.is_some_and(|input| !send(sender, input, stop)) {
            return;
        }
        if is_end {
            return;
        }
    }
}

/// Hands over an input once there is room; false where nobody wants it any more.
fn send(sender: &Sender<Input>, mut input: Input, stop: &AtomicBool) -> bool {
    loop {
        match sender.send_timeout(input, STOP_CHECK) {
            Ok(()) => return true,
            Err(SendTimeoutError::Timeout(back)) if !stop.load(Ordering::Relaxed) => input = back,
            Err(_) => return false,
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
