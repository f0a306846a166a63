//! The guard that gives the terminal back: when it is dropped, and when the screen's own thread panics.

use std::cell::Cell;
use std::io::{self, Write};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once};
use std::time::{Duration, Instant};

use crossterm::event::{DisableMouseCapture, EnableMouseCapture};
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use crossterm::{cursor, execute};

/// The screen is ours now.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// Somebody is giving it back.
static RESTORING: Mutex<()> = Mutex::new(());
static HOOK: Once = Once::new();

/// How long to wait for somebody who is giving it back.
const RESTORE_PATIENCE: Duration = Duration::from_millis(500);

thread_local! {
    /// This thread draws the screen.
    static DRAWS: Cell<bool> = const { Cell::new(false) };
}

/// Holds the terminal; gives it back when dropped.
pub struct Guard(());

impl Guard {
    /// Takes the terminal: raw mode, a screen of its own, no cursor, and the mouse if it is wanted.
    pub fn enter(mouse: bool) -> io::Result<Self> {
        HOOK.call_once(install_hook);
        DRAWS.set(true);
        enable_raw_mode()?;
        TAKEN.store(true, Ordering::SeqCst);
        // From here on the guard undoes whatever was done, even where the next line fails halfway.
        let guard = Self(());
        execute!(io::stdout(), EnterAlternateScreen, cursor::Hide)?;
        if mouse {
            execute!(io::stdout(), EnableMouseCapture)?;
        }
        Ok(guard)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        restore();
        DRAWS.set(false);
    }
}

/// Gives the terminal back, once. Errors mean that there is no terminal any more, and nothing to give back.
pub(super) fn restore() {
    // Whoever ends the program waits for a thread that is just giving it back, unless that is stuck in it.
    let deadline = Instant::now() + RESTORE_PATIENCE;
    let mut only = RESTORING.try_lock();
    while only.is_err() && Instant::now() < deadline {
        std::thread::sleep(RESTORE_PATIENCE / 500);
        only = RESTORING.try_lock();
    }
    if TAKEN.swap(false, Ordering::SeqCst) {
        let mut out = io::stdout();
        let _ = execute!(out, DisableMouseCapture, LeaveAlternateScreen, cursor::Show);
        let _ = out.flush();
        let _ = disable_raw_mode();
    }
}

/// A panic of the screen's thread restores the terminal before it is printed. One of another thread, a workload's
/// task for instance, is caught where it happens and shown in its lane: printed here it would only tear the screen.
fn install_hook() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let draws = DRAWS.try_with(Cell::get).unwrap_or(false);
        if TAKEN.load(Ordering::SeqCst) && !draws {
            return;
        }
        restore();
        before(info);
    }));
}
