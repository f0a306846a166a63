//! The terminal: taken and given back whatever happens, what comes in from it, and the loop that draws frames.

mod errand;
mod frames;
mod guard;
mod inputs;

pub use errand::Errand;
pub use frames::{Finish, Frames, patience};
pub use inputs::heed_signals;

use std::io::{self, BufWriter, IsTerminal};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::{Backend, CrosstermBackend};

use crate::app::{Launch, Launcher, Session};
use crate::insight::Thresholds;
use crate::view::Theme;
use guard::Guard;
use inputs::Inputs;

/// Bytes of a frame that are kept before they go out in one write.
const FRAME_BYTES: usize = 1 << 16;
/// How often it is asked whether the terminal is still there.
const ALIVE_CHECK: Duration = Duration::from_secs(1);

/// How the screen is to behave.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub theme: Theme,
    /// Take the mouse from the terminal. Without it, text can be selected as usual.
    pub mouse: bool,
    /// What the findings of a run are measured by.
    pub thresholds: Thresholds,
}

impl Default for Options {
    fn default() -> Self {
        Self { theme: Theme::default(), mouse: true, thresholds: Thresholds::default() }
    }
}

/// What is on the screen first.
pub enum Start {
    Picker,
    Launch(Launch),
    /// These, a tab each; the first is shown.
    Sessions(Vec<Box<dyn Session>>),
}

/// How it ended.
pub struct ExitReport {
    /// The signal that ended it; the exit code is then 128 plus this.
    pub signal: Option<i32>,
    /// Why the terminal was lost, if it was.
    pub lost: Option<String>,
    /// What was on the screen at the end, with its whole trace.
    pub session: Option<Box<dyn Session>>,
}

/// Why there was no screen, or no longer one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no terminal to draw on: {0}; `loopscope run NAME --headless` works without one")]
    NoTerminal(&'static str),
    #[error("the terminal cannot be used")]
    Terminal(#[from] io::Error),
    /// The first run could not be started: what the launcher said, in lines a person can act on.
    #[error("{0}")]
    Launch(String),
}

/// Shows the screen until the person, or a signal, ends it. The terminal is restored on every way out.
///
/// # Errors
/// When there is no terminal, when it cannot be set up, or when the first run cannot be started.
pub fn run(launcher: &mut dyn Launcher, start: Start, options: Options) -> Result<ExitReport, Error> {
    if !io::stdout().is_terminal() {
        return Err(Error::NoTerminal("the output goes elsewhere"));
    }
    // Before the screen is taken: what is wrong with the first run is for the shell to show.
    let remark = if matches!(start, Start::Picker) { launcher.remark() } else { None };
    let (sessions, launched) = match start {
        Start::Picker => (Vec::new(), None),
        Start::Launch(launch) => (vec![launcher.launch(&launch).map_err(Error::Launch)?], Some(launch)),
        Start::Sessions(sessions) => (sessions, None),
    };
    // From the first moment on in which the terminal is not as it was, a signal gives it back.
    let inputs = Inputs::start()?;
    let mut held = Held { guard: Some(Guard::enter(options.mouse)?), inputs, mouse: options.mouse };
    let terminal = Terminal::new(CrosstermBackend::new(BufWriter::with_capacity(FRAME_BYTES, io::stdout())))?;
    let mut frames = Frames::new(terminal, held.inputs.receiver(), launcher, options.theme);
    frames.judge_by(options.thresholds);
    let mut sessions = sessions.into_iter();
    if let Some(first) = sessions.next() {
        frames.watch(first, launched);
    }
    sessions.for_each(|session| frames.open(session));
    if let Some(remark) = remark {
        frames.say(&remark);
    }
    let mut alive = alive();
    let lost = loop {
        match frames.turn(Instant::now()) {
            Ok(Some(Finish::Lost(why))) => break Some(why),
            Ok(Some(Finish::Quit | Finish::Signal(_))) => break None,
            // Drawing fails once the terminal is gone: the end, not an error to try again after.
            Err(error) => break Some(error.to_string()),
            Ok(None) if !alive() => break Some("it was closed".to_owned()),
            Ok(None) => match frames.take_errand() {
                Some(errand) => held.run_errand(errand, &mut frames)?,
                None => frames.wait(Instant::now()),
            },
        }
    };
    let signal = frames.signal();
    let session = frames.into_session();
    drop(held);
    Ok(ExitReport { signal, lost, session })
}

/// The terminal and what comes in from it.
struct Held {
    guard: Option<Guard>,
    inputs: Inputs,
    mouse: bool,
}

impl Held {
    /// Gives the terminal back for something, and takes it again.
    fn run_errand<B: Backend<Error = io::Error>>(
        &mut self,
        errand: Errand,
        frames: &mut Frames<'_, B>,
    ) -> io::Result<()> {
        if errand == Errand::Suspend && !errand::has_shell() {
            frames.say("no shell with job control started this, so nothing could bring it back; q quits");
            return Ok(());
        }
        self.inputs.leave();
        self.guard = None;
        let edited = match &errand {
            Errand::Edit { name, path } => Some((name, edit(path, frames))),
            Errand::Suspend => {
                frames.stop_time(errand::stop);
                None
            }
            Errand::Return => None,
        };
        self.guard = Some(Guard::enter(self.mouse)?);
        self.inputs.come_back()?;
        frames.back()?;
        if let Some((name, edited)) = edited {
            frames.edited(name, edited);
        }
        Ok(())
    }
}

/// Lets the person edit a file, while what happens in the run is taken in.
fn edit<B: Backend>(path: &Path, frames: &mut Frames<'_, B>) -> Result<(), String> {
    let mut editor = errand::editor(path)?;
    loop {
        match editor.try_wait() {
            Ok(None) => {}
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(format!("the editor failed ({status}); $VISUAL or $EDITOR names another")),
            Err(error) => return Err(format!("the editor cannot be waited for: {error}")),
        }
        frames.keep_up();
        thread::sleep(errand::LOOK);
    }
}

/// Asks now and then whether the terminal that was there at the start still is: a closed one reads as empty for ever.
fn alive() -> impl FnMut() -> bool {
    let had_terminal = io::stdin().is_terminal();
    let mut asked = Instant::now();
    move || {
        if !had_terminal || asked.elapsed() < ALIVE_CHECK {
            return true;
        }
        asked = Instant::now();
        io::stdin().is_terminal()
    }
}
