//! Input: one thread reads keys and the mouse, another signals, into one channel.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, SendTimeoutError, Sender};
use crossterm::event::{self, Event, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use signal_hook::SigId;
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGTSTP};
use signal_hook::iterator::{Handle, Signals};

use crate::app::{InputEvent, KeyCode, KeyPress, MouseInput, MouseKind};

/// Capacity of the input channel: a held mouse wheel can be faster than the screen.
const CHANNEL_CAPACITY: usize = 1_024;
/// Interval at which the reading thread checks whether it should stop.
const STOP_CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// The signal handling that is active until the screen takes over.
static EARLY_SIGNALS: Mutex<Option<EarlySignals>> = Mutex::new(None);

struct EarlySignals {
    signals: Handle,
    /// The last signal: it may arrive just before the screen takes over, when nothing has handled it yet.
    last: Arc<AtomicUsize>,
    flags: Vec<SigId>,
}

impl EarlySignals {
    /// Stops handling signals. Returns the signal that has arrived already, if any.
    fn close(self) -> Option<i32> {
        self.signals.close();
        for flag in self.flags {
            signal_hook::low_level::unregister(flag);
        }
        i32::try_from(self.last.load(Ordering::SeqCst)).ok().filter(|signal| *signal != 0)
    }
}

/// Installs signal handling for the time before the screen: a signal ends the program and cleans up its files and
/// processes. Call it before starting anything that must not be left behind.
///
/// # Errors
/// Fails if the handlers or their thread cannot be created.
pub fn handle_early_signals() -> io::Result<()> {
    let mut early = EARLY_SIGNALS.lock().unwrap_or_else(PoisonError::into_inner);
    if early.is_none() {
        let wanted = [SIGTERM, SIGHUP, SIGINT];
        let last = Arc::new(AtomicUsize::new(0));
        let flag = |signal: i32| {
            signal_hook::flag::register_usize(signal, Arc::clone(&last), usize::try_from(signal).unwrap_or(0))
        };
        let flags = wanted.into_iter().map(flag).collect::<io::Result<_>>()?;
        let mut signals = Signals::new(wanted)?;
        *early = Some(EarlySignals { signals: signals.handle(), last, flags });
        thread::Builder::new().name("signals".into()).spawn(move || signals.forever().next().map(exit_on_signal))?;
    }
    Ok(())
}

/// Ends the program immediately because of a signal.
fn exit_on_signal(signal: i32) {
    super::guard::restore();
    crate::cleanup::clean_up_all();
    std::process::exit(128 + signal);
}

/// The threads that read input; they end when this is dropped.
pub struct InputReader {
    sender: Sender<InputEvent>,
    receiver: Receiver<InputEvent>,
    keys: Option<KeyReader>,
    signals: Handle,
    /// Whether the terminal is handed over: an interrupt typed there is meant for the other program.
    is_handed_over: Arc<AtomicBool>,
}

/// The thread that reads keys and the mouse.
struct KeyReader {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl KeyReader {
    fn start(sender: Sender<InputEvent>) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new().name("keys".into()).spawn(move || read_events(&sender, &stopped))?;
        Ok(Self { stop, thread })
    }
}

impl InputReader {
    /// Starts reading.
    pub fn start() -> io::Result<Self> {
        let (sender, receiver) = crossbeam_channel::bounded(CHANNEL_CAPACITY);
        let mut signals = Signals::new([SIGTERM, SIGHUP, SIGINT, SIGTSTP, SIGCONT])?;
        let handle = signals.handle();
        let signal_sender = sender.clone();
        let is_handed_over = Arc::new(AtomicBool::new(false));
        let handed_over = Arc::clone(&is_handed_over);
        thread::Builder::new().name("signals".into()).spawn(move || {
            let mut count = 0;
            for signal in signals.forever() {
                let is_for_other_program =
                    handed_over.load(Ordering::Relaxed) && [SIGINT, SIGTSTP, SIGCONT].contains(&signal);
                if is_for_other_program {
                    continue;
                }
                count += u32::from(![SIGTSTP, SIGCONT].contains(&signal));
                if count > 1 {
                    // A second signal means that the first had no effect: the drawing thread is stuck.
                    exit_on_signal(signal);
                }
                if signal_sender.send(InputEvent::Signal(signal)).is_err() {
                    break;
                }
            }
        })?;
        let early = EARLY_SIGNALS.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(signal) = early.and_then(EarlySignals::close) {
            // The channel is empty, so this cannot fail.
            let _ = sender.try_send(InputEvent::Signal(signal));
        }
        let keys = Some(KeyReader::start(sender.clone())?);
        Ok(Self { sender, receiver, keys, signals: handle, is_handed_over })
    }

    /// Stops reading keys, for a handover of the terminal. Nothing is read any more once this returns.
    pub fn stop_reading(&mut self) {
        self.is_handed_over.store(true, Ordering::Relaxed);
        if let Some(keys) = self.keys.take() {
            keys.stop.store(true, Ordering::Relaxed);
            // A panic of the thread has already been printed.
            let _ = keys.thread.join();
        }
    }

    /// Resumes reading keys.
    pub fn resume_reading(&mut self) -> io::Result<()> {
        self.keys = Some(KeyReader::start(self.sender.clone())?);
        self.is_handed_over.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Returns the receiving end of the input channel.
    pub fn receiver(&self) -> Receiver<InputEvent> {
        self.receiver.clone()
    }
}

impl Drop for InputReader {
    fn drop(&mut self) {
        if let Some(keys) = &self.keys {
            keys.stop.store(true, Ordering::Relaxed);
        }
        self.signals.close();
    }
}

fn read_events(sender: &Sender<InputEvent>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let event = match event::poll(STOP_CHECK_INTERVAL) {
            Ok(false) => continue,
            Ok(true) => event::read(),
            Err(error) => Err(error),
        };
        let input = match event {
            Ok(event) => convert_event(&event),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => None,
            Err(error) => Some(InputEvent::TerminalLost(error.to_string())),
        };
        let is_end = matches!(input, Some(InputEvent::TerminalLost(_)));
        if input.is_some_and(|input| !send(sender, input, stop)) {
            return;
        }
        if is_end {
            return;
        }
    }
}

/// Sends an input, waiting while the channel is full; returns false once nothing receives it any more.
fn send(sender: &Sender<InputEvent>, mut input: InputEvent, stop: &AtomicBool) -> bool {
    loop {
        match sender.send_timeout(input, STOP_CHECK_INTERVAL) {
            Ok(()) => return true,
            Err(SendTimeoutError::Timeout(back)) if !stop.load(Ordering::Relaxed) => input = back,
            Err(_) => return false,
        }
    }
}

/// Converts a crossterm event; `None` if it has no meaning here.
fn convert_event(event: &Event) -> Option<InputEvent> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => convert_key(key).map(InputEvent::Key),
        Event::Mouse(mouse) => convert_mouse(mouse).map(InputEvent::Mouse),
        Event::Resize(..) | Event::FocusGained => Some(InputEvent::Resize),
        _ => None,
    }
}

fn convert_key(key: &KeyEvent) -> Option<KeyPress> {
    let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
    let code = match key.code {
        event::KeyCode::Char(_) if key.modifiers.contains(KeyModifiers::ALT) => return None,
        event::KeyCode::Char(char) if ctrl => KeyCode::Char(char.to_ascii_lowercase()),
        event::KeyCode::Char(char) => KeyCode::Char(char),
        event::KeyCode::Enter => KeyCode::Enter,
        event::KeyCode::Esc => KeyCode::Escape,
        event::KeyCode::Tab => KeyCode::Tab,
        event::KeyCode::BackTab => KeyCode::BackTab,
        event::KeyCode::Backspace => KeyCode::Backspace,
        event::KeyCode::Delete => KeyCode::Delete,
        event::KeyCode::Up => KeyCode::Up,
        event::KeyCode::Down => KeyCode::Down,
        event::KeyCode::Left => KeyCode::Left,
        event::KeyCode::Right => KeyCode::Right,
        event::KeyCode::PageUp => KeyCode::PageUp,
        event::KeyCode::PageDown => KeyCode::PageDown,
        event::KeyCode::Home => KeyCode::Home,
        event::KeyCode::End => KeyCode::End,
        _ => return None,
    };
    Some(KeyPress { code, ctrl: ctrl && matches!(code, KeyCode::Char(_)) })
}

fn convert_mouse(mouse: &MouseEvent) -> Option<MouseInput> {
    let kind = match mouse.kind {
        MouseEventKind::Down(MouseButton::Left) => MouseKind::Press,
        MouseEventKind::Drag(MouseButton::Left) => MouseKind::Drag,
        MouseEventKind::ScrollUp => MouseKind::WheelUp,
        MouseEventKind::ScrollDown => MouseKind::WheelDown,
        MouseEventKind::ScrollLeft => MouseKind::WheelLeft,
        MouseEventKind::ScrollRight => MouseKind::WheelRight,
        _ => return None,
    };
    let is_zoom = mouse.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::SHIFT | KeyModifiers::ALT);
    Some(MouseInput { kind, column: mouse.column, row: mouse.row, is_zoom })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn converts_keys_with_modifiers() {
        let key = |code, modifiers| convert_key(&KeyEvent::new(code, modifiers));
        assert_eq!(key(event::KeyCode::Char('T'), KeyModifiers::SHIFT), Some(KeyPress::char('T')));
        assert_eq!(key(event::KeyCode::Char('c'), KeyModifiers::CONTROL), Some(KeyPress::ctrl('c')));
        assert_eq!(key(event::KeyCode::Char('x'), KeyModifiers::ALT), None);
        assert_eq!(key(event::KeyCode::Up, KeyModifiers::CONTROL), Some(KeyPress::new(KeyCode::Up)));
        let release = KeyEvent { kind: KeyEventKind::Release, ..KeyEvent::from(event::KeyCode::Enter) };
        assert_eq!(convert_event(&Event::Key(release)), None);
    }
}
