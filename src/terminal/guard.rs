//! The guard that restores the terminal, on drop and when the drawing thread panics.

use std::cell::Cell;
use std::io::{self, Write};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once};
use std::time::{Duration, Instant};

use crossterm::event::{DisableMouseCapture, EnableMouseCapture};
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use crossterm::{cursor, execute};

/// Whether the terminal is taken over.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);
/// Held by the thread that restores the terminal.
static RESTORING: Mutex<()> = Mutex::new(());
static HOOK: Once = Once::new();

/// Maximum wait for another thread that is restoring the terminal.
const RESTORE_TIMEOUT: Duration = Duration::from_millis(500);

thread_local! {
    /// Whether this thread draws the screen.
    static IS_DRAWING_THREAD: Cell<bool> = const { Cell::new(false) };
}

/// Owns the terminal, and restores it when dropped.
pub struct TerminalGuard(());

impl TerminalGuard {
    /// Takes over the terminal: raw mode, alternate screen, hidden cursor, and mouse capture if wanted.
    pub fn enter(mouse: bool) -> io::Result<Self> {
        HOOK.call_once(install_panic_hook);
        IS_DRAWING_THREAD.set(true);
        enable_raw_mode()?;
        IS_TAKEN.store(true, Ordering::SeqCst);
        // From here on the guard restores the terminal, even if the next line fails.
        let guard = Self(());
        execute!(io::stdout(), EnterAlternateScreen, cursor::Hide)?;
        if mouse {
            execute!(io::stdout(), EnableMouseCapture)?;
        }
        Ok(guard)
    }
}

impl Drop for TerminalGuard {
    fn drop(&mut self) {
        restore();
        IS_DRAWING_THREAD.set(false);
    }
}

/// Restores the terminal, once. Errors are ignored: they mean that the terminal is gone.
pub(super) fn restore() {
    // Wait for a thread that is already restoring, unless it is stuck.
    let deadline = Instant::now() + RESTORE_TIMEOUT;
    let mut lock = RESTORING.try_lock();
    while lock.is_err() && Instant::now() < deadline {
        std::thread::sleep(RESTORE_TIMEOUT / 500);
        lock = RESTORING.try_lock();
    }
    if IS_TAKEN.swap(false, Ordering::SeqCst) {
        let mut out = io::stdout();
        let _ = execute!(out, DisableMouseCapture, LeaveAlternateScreen, cursor::Show);
        let _ = out.flush();
        let _ = disable_raw_mode();
    }
}

/// Restores the terminal before a panic of the drawing thread is printed. A panic of another thread, such as a
/// workload's task, is caught and shown in its lane; printing it would corrupt the screen.
fn install_panic_hook() {
    let previous_hook = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let draws = IS_DRAWING_THREAD.try_with(Cell::get).unwrap_or(false);
        if IS_TAKEN.load(Ordering::SeqCst) && !draws {
            return;
        }
        restore();
        previous_hook(info);
    }));
}
