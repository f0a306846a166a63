//! The terminal: setup and guaranteed restoration, input, and the event loop that draws frames.

mod event_loop;
mod guard;
mod handover;
mod input_reader;

pub use event_loop::{EventLoop, ExitReason, sleep_duration};
pub use handover::TerminalHandover;
pub use input_reader::handle_early_signals;

use std::io::{self, BufWriter, IsTerminal};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::{Backend, CrosstermBackend};

use crate::insight::Thresholds;
use crate::session::interface::{LaunchRequest, Launcher, Session};
use crate::view::Theme;
use guard::TerminalGuard;
use input_reader::InputReader;

/// Buffer size for one frame, in bytes, so that most frames need a single write.
const FRAME_BUFFER_SIZE: usize = 1 << 16;
/// Interval at which the terminal is checked for having been closed.
const OPEN_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Options of the screen.
#[derive(Clone, Copy, Debug)]
pub struct ScreenOptions {
    /// Colours and glyphs.
    pub theme: Theme,
    /// Capture the mouse. Without it, text can be selected as usual.
    pub mouse: bool,
    /// Thresholds of the lints.
    pub thresholds: Thresholds,
}

impl Default for ScreenOptions {
    fn default() -> Self {
        Self { theme: Theme::default(), mouse: true, thresholds: Thresholds::default() }
    }
}

/// What the screen shows first.
pub enum StartScreen {
    /// The workload picker.
    Picker,
    /// The list of running apps to attach to.
    Apps,
    /// A new run.
    Launch(LaunchRequest),
    /// These sessions, one tab each; the first one is shown.
    Sessions(Vec<Box<dyn Session>>),
}

/// How the screen was closed.
pub struct ExitReport {
    /// The signal that closed it, if any; the exit code is then 128 plus its number.
    pub signal: Option<i32>,
    /// Why the terminal was lost, if it was.
    pub lost: Option<String>,
    /// The session that was shown last, with its complete trace.
    pub session: Option<Box<dyn Session>>,
}

/// Why the screen could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum ScreenError {
    /// Standard output is not a terminal, with the reason.
    #[error("no terminal to draw on: {0}; `loopscope run NAME --headless` works without one")]
    NoTerminal(&'static str),
    /// The terminal could not be set up or read.
    #[error("cannot use the terminal")]
    Terminal(#[from] io::Error),
    /// The first run could not be started; the text is the launcher's and says what to do.
    #[error("{0}")]
    Launch(String),
}

/// Shows the screen until the user quits or a signal arrives. The terminal is always restored.
///
/// # Errors
/// Fails if there is no terminal, if it cannot be set up, or if the first run cannot be started.
pub fn run(launcher: &mut dyn Launcher, start: StartScreen, options: ScreenOptions) -> Result<ExitReport, ScreenError> {
    if !io::stdout().is_terminal() {
        return Err(ScreenError::NoTerminal("standard output is redirected"));
    }
    // Before the terminal is taken over: an error of the first run belongs in the shell.
    let warning = if matches!(start, StartScreen::Picker) { launcher.catalog_warning() } else { None };
    let shows_apps = matches!(start, StartScreen::Apps);
    let (sessions, launched) = match start {
        StartScreen::Picker | StartScreen::Apps => (Vec::new(), None),
        StartScreen::Launch(launch) => (vec![launcher.launch(&launch).map_err(ScreenError::Launch)?], Some(launch)),
        StartScreen::Sessions(sessions) => (sessions, None),
    };
    // Install signal handling before the terminal state changes, so that a signal restores it.
    let inputs = InputReader::start()?;
    let mut owner = TerminalOwner { guard: Some(TerminalGuard::enter(options.mouse)?), inputs, mouse: options.mouse };
    let terminal = Terminal::new(CrosstermBackend::new(BufWriter::with_capacity(FRAME_BUFFER_SIZE, io::stdout())))?;
    let mut event_loop = EventLoop::new(terminal, owner.inputs.receiver(), launcher, options.theme);
    event_loop.set_thresholds(options.thresholds);
    if shows_apps {
        event_loop.show_app_picker();
    }
    let mut sessions = sessions.into_iter();
    if let Some(first) = sessions.next() {
        event_loop.watch(first, launched);
    }
    sessions.for_each(|session| event_loop.open(session));
    if let Some(warning) = warning {
        event_loop.show_notice(&warning);
    }
    let mut is_open = terminal_check();
    let lost = loop {
        match event_loop.run_once(Instant::now()) {
            Ok(Some(ExitReason::Lost(reason))) => break Some(reason),
            Ok(Some(ExitReason::Quit | ExitReason::Signal(_))) => break None,
            // A failed draw means that the terminal is gone, not that it should be retried.
            Err(error) => break Some(error.to_string()),
            Ok(None) if !is_open() => break Some("it was closed".to_owned()),
            Ok(None) => match event_loop.take_handover() {
                Some(handover) => owner.hand_over(handover, &mut event_loop)?,
                None => event_loop.wait(Instant::now()),
            },
        }
    };
    let signal = event_loop.signal();
    let session = event_loop.into_session();
    drop(owner);
    Ok(ExitReport { signal, lost, session })
}

/// The taken-over terminal, with its input.
struct TerminalOwner {
    guard: Option<TerminalGuard>,
    inputs: InputReader,
    mouse: bool,
}

impl TerminalOwner {
    /// Hands the terminal over to an editor or the shell, and takes it back afterwards.
    fn hand_over<B: Backend<Error = io::Error>>(
        &mut self,
        handover: TerminalHandover,
        event_loop: &mut EventLoop<'_, B>,
    ) -> io::Result<()> {
        if handover == TerminalHandover::Suspend && !handover::has_shell() {
            event_loop.show_notice("cannot suspend: no shell with job control could resume it; q quits");
            return Ok(());
        }
        self.inputs.stop_reading();
        self.guard = None;
        let edited = match &handover {
            TerminalHandover::Edit { name, path } => Some((name, edit(path, event_loop))),
            TerminalHandover::Suspend => {
                event_loop.with_sessions_suspended(handover::stop_job);
                None
            }
            TerminalHandover::Resume => None,
        };
        self.guard = Some(TerminalGuard::enter(self.mouse)?);
        self.inputs.resume_reading()?;
        event_loop.redraw_all()?;
        if let Some((name, edited)) = edited {
            event_loop.finish_edit(name, edited);
        }
        Ok(())
    }
}

/// Runs the user's editor on a file, and keeps processing events of the sessions meanwhile.
fn edit<B: Backend>(path: &Path, event_loop: &mut EventLoop<'_, B>) -> Result<(), String> {
    let mut editor = handover::start_editor(path)?;
    loop {
        match editor.try_wait() {
            Ok(None) => {}
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => {
                return Err(format!("the editor failed ({status}); set $VISUAL or $EDITOR to another one"));
            }
            Err(error) => return Err(format!("cannot wait for the editor: {error}")),
        }
        event_loop.process_sessions();
        thread::sleep(handover::EDITOR_POLL_INTERVAL);
    }
}

/// Returns a throttled check whether the terminal is still open: a closed one reads as empty for ever.
fn terminal_check() -> impl FnMut() -> bool {
    let had_terminal = io::stdin().is_terminal();
    let mut checked_at = Instant::now();
    move || {
        if !had_terminal || checked_at.elapsed() < OPEN_CHECK_INTERVAL {
            return true;
        }
        checked_at = Instant::now();
        io::stdin().is_terminal()
    }
}
