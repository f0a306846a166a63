//! An app of somebody else's that we start: its recording, as it is made, and its console, joined; and what it prints.
//!
//! The recording is read a little behind: up to where the console has told, so that what a line is about has a name when
//! the line is told.

mod app;
mod clock;
mod ending;
mod joined;
mod output;
mod pipe;
mod port;
mod stop;
mod timed;
mod wire;
mod words;

pub use app::{Stdin, wait_for_left};

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};

use super::sources::{Reader, Sources};
use crate::app as screen;
use crate::control::{
    ClockKind, Command, FeedChoice, Link, LinkState, Outcome, Phase, SourceKind, Speed, Status, Steering,
};
use crate::feed::recording::{Recording, Stamps};
use crate::trace::{Event, Trace};
use app::App;
use clock::Clock;
use joined::Joined;
use output::Output;
use pipe::{Chunk, Pipe};
use port::Port;
use timed::Timed;
use wire::Wire;

/// How far behind the app a line is told at the most, where the console is slow or silent.
const BEHIND_MAX_NS: u64 = 500_000_000;

/// How far the newest end of the trace stays behind what was told: lines may take so long to come.
const LATE_NS: u64 = 20_000_000;

/// Characters of a command that are shown.
const NAME_CHARS_MAX: usize = 200;

/// See the module.
pub struct ExecSession {
    name: String,
    trace: Trace,
    clock: Clock,
    /// `None` where it could not be started, and once it is over.
    app: Option<App>,
    pipe: Option<Pipe>,
    port: Option<Port>,
    wire: Option<Wire>,
    output: Output,
    recording: Recording,
    joined: Joined,
    sources: Sources,
    reader: Reader,
    /// What is told in order of time with the recording: output and pauses.
    timed: Timed,
    bell: Receiver<()>,
    /// Bytes that are read now, and how many of them are.
    chunk: Option<(Chunk, usize)>,
    last_came: Instant,
    is_frozen: bool,
    /// It is to stand only for as long as the whole of loopscope does.
    is_suspended: bool,
    /// When the person wanted it to stop, until it is.
    freezing: Option<Instant>,
    /// The person, or a limit of theirs, ends it.
    is_quitting: bool,
    /// When it ended, and how often the pipe had been found empty by then.
    ended: Option<(Instant, u64)>,
    /// Why what it records cannot be understood. From then on it is only drained.
    unreadable: Option<String>,
    /// How it came out, before everything of it is told.
    came_out: Option<Outcome>,
    outcome: Option<Outcome>,
}

impl ExecSession {
    /// Starts `command`. Where it cannot be started the session is there all the same, and says so.
    ///
    /// # Errors
    /// Where the system gives no pipe, port or thread.
    pub fn start(command: &[OsString], stdin: Stdin, memory_bytes: usize) -> std::io::Result<Self> {
        let clock = Clock::start();
        let (rings, bell) = bounded(1);
        let pipe = Pipe::open(clock, rings.clone())?;
        let port = Port::keep()?;
        let mut trace = Trace::with_budget(memory_bytes);
        trace.set_foreign();
        let recording = Recording::new(Stamps::from_epoch_ns(clock.origin())).with_awaits();
        trace.set_recorded(recording.recorded().clone());
        let mut session = Self {
            name: name(command),
            trace,
            clock,
            app: None,
            pipe: None,
            port: None,
            wire: None,
            output: Output::nothing(),
            recording,
            joined: Joined::new(clock.origin()),
            sources: Sources::default(),
            reader: Reader::default(),
            timed: Timed::default(),
            bell,
            chunk: None,
            last_came: Instant::now(),
            is_frozen: false,
            is_suspended: false,
            freezing: None,
            is_quitting: false,
            ended: None,
            unreadable: None,
            came_out: None,
            outcome: None,
        };
        match App::start(command, port.number(), &pipe.path(), stdin) {
            Err(why) => session.outcome = Some(Outcome::Failed(why)),
            Ok(mut app) => {
                let (out, err) = app.streams();
                session.app = Some(app);
                session.output = Output::read(out, err, clock, &rings)?;
                session.wire = Some(Wire::listen(port.number(), rings)?);
                session.pipe = Some(pipe);
                session.port = Some(port);
            }
        }
        Ok(session)
    }

    /// It was built in this folder, to show the lines that it names.
    #[must_use]
    pub fn built_in(mut self, folder: PathBuf) -> Self {
        self.reader = Reader::of(Some(folder));
        self
    }

    /// What is to be known as this app's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn is_over(&self) -> bool {
        self.outcome.is_some()
    }

    /// Until when lines are told now, in nanoseconds since 1970.
    fn horizon(&self) -> u64 {
        if self.ended.is_some() {
            return u64::MAX;
        }
        let told = self.joined.told_until().unwrap_or(0);
        told.max(self.clock.now().saturating_sub(BEHIND_MAX_NS))
    }

    /// Reads the files that these facts name, to show the lines that they are about.
    fn read_sources(&mut self, told: &[Event]) {
        for (file, text) in self.reader.read(told) {
            self.sources.keep(file, text);
        }
    }

    /// Takes in what the console told, for about `budget`.
    fn take_updates(&mut self, budget: Duration) -> bool {
        let begun = Instant::now();
        let mut changed = false;
        while (!changed || begun.elapsed() < budget)
            && let Some(message) = self.wire.as_mut().and_then(Wire::take)
        {
            let Self { joined, recording, reader, sources, trace, .. } = self;
            let stamps = recording.stamps();
            joined.take(
                message,
                |epoch_ns| stamps.known_time(epoch_ns),
                |told| {
                    reader.read(&told).into_iter().for_each(|(file, text)| sources.keep(file, text));
                    told.into_iter().for_each(|event| trace.apply(event));
                },
            );
            changed = true;
        }
        changed
    }

    fn take_output(&mut self) -> bool {
        let mut changed = false;
        while self.timed.has_room() {
            let Some((came, text)) = self.output.take() else { break };
            let at = self.recording.stamps().loop_time(came);
            self.timed.push(at, Event::Output { task: None, at, text });
            changed = true;
        }
        let dropped = self.output.dropped();
        if dropped > 0 {
            let at = self.recording.stamps().loop_time(self.clock.now());
            let text = format!("({dropped} lines of output came too fast and are lost)").into();
            self.timed.push(at, Event::Output { task: None, at, text });
            changed = true;
        }
        changed
    }

    /// Reads some of what was recorded until `horizon`. Tells whether there was any.
    fn read(&mut self, horizon: u64) -> bool {
        if self.chunk.is_none() {
            let Some(chunk) = self.pipe.as_ref().and_then(|pipe| pipe.take(horizon)) else { return false };
            // Whoever writes it must not be held up, understood or not.
            if self.unreadable.is_some() {
                return true;
            }
            if let Some(lines) = chunk.missed {
                self.miss(lines);
            }
            self.chunk = Some((chunk, 0));
            self.last_came = Instant::now();
        }
        let Some((chunk, taken)) = &mut self.chunk else { return false };
        let (trace, timed) = (&mut self.trace, &mut self.timed);
        let bytes = &chunk.bytes[*taken..];
        match self.recording.take(bytes, self.joined.names(), &mut |event| timed.before(event, trace)) {
            Ok(left) if !left.is_empty() => *taken = chunk.bytes.len() - left.len(),
            Ok(_) => self.chunk = None,
            Err(error) => {
                self.came_out = Some(Outcome::Failed(error.to_string()));
                self.unreadable = Some(error.to_string());
                self.chunk = None;
            }
        }
        true
    }

    fn miss(&mut self, lines: u64) {
        let (trace, timed) = (&mut self.trace, &mut self.timed);
        self.recording.miss(lines, &mut |event| timed.before(event, trace));
    }

    /// Everything until `horizon` is read: what waited for that is told, and time moves on.
    fn catch_up(&mut self, horizon: u64) -> bool {
        let before = (self.trace.now(), self.trace.output().lines().len());
        let (trace, timed) = (&mut self.trace, &mut self.timed);
        let quiet_ns = u64::try_from(self.last_came.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.recording.settle(quiet_ns, &mut |event| timed.before(event, trace));
        self.recording.name_late(self.joined.names(), &mut |event| timed.before(event, trace));
        let at = self.recording.stamps().loop_time(horizon.min(self.clock.now()).saturating_sub(LATE_NS));
        if self.ended.is_none() {
            self.timed.before(Event::Now { at }, &mut self.trace);
        }
        let told = self.joined.catch_up(&mut self.recording, &self.trace);
        self.read_sources(&told);
        told.into_iter().for_each(|event| self.trace.apply(event));
        if let Some(counted) = self.joined.counted_until() {
            let counted = self.recording.stamps().loop_time(counted);
            self.trace.set_compared_until(counted);
        }
        before != (self.trace.now(), self.trace.output().lines().len())
    }
}

fn name(command: &[OsString]) -> String {
    let words: Vec<_> = command.iter().map(|word| word.to_string_lossy()).collect();
    crate::plain::plain(&words.join(" ")).chars().take(NAME_CHARS_MAX).collect()
}

impl screen::Session for ExecSession {
    fn trace(&self) -> &Trace {
        &self.trace
    }

    fn status(&self) -> Status {
        let (phase, steering) = match (self.is_over(), self.is_frozen, self.freezing) {
            (true, ..) => (Phase::Ended, Steering::Nothing),
            (false, true, _) => (Phase::Paused, Steering::Process),
            (false, false, Some(_)) => (Phase::Pausing, Steering::Process),
            (false, false, None) => (Phase::Running, Steering::Process),
        };
        let state = match (self.is_over(), self.recording.recorded().lines > 0) {
            (true, _) => LinkState::Lost,
            (false, true) => LinkState::Live,
            (false, false) => LinkState::Waiting,
        };
        Status {
            name: self.name.clone(),
            source: SourceKind::Exec,
            steering,
            link: Some(Link { state, note: self.note() }),
            clock: ClockKind::Real,
            speed: Speed::Times(1.0),
            phase,
            now: self.trace.now(),
            next_timer: None,
            feed: FeedChoice::Both,
            outcome: self.outcome.clone(),
        }
    }

    fn pump(&mut self, budget: Duration) -> bool {
        let begun = Instant::now();
        if self.is_over() {
            return false;
        }
        // The recording must not wait for a console that has much to say.
        let has_told = self.take_updates(budget / 4);
        self.freeze(has_told);
        let mut changed = has_told | self.take_output();
        let horizon = self.horizon();
        let mut has_more = true;
        while has_more && begun.elapsed() < budget {
            has_more = self.read(horizon);
            changed |= has_more;
        }
        if !has_more {
            changed |= self.catch_up(horizon);
        }
        if changed {
            self.trace.set_recorded(self.recording.recorded().clone());
        }
        changed | self.follow_app()
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Freeze(true) | Command::Suspend(true)
                if !self.is_frozen && self.app.is_some() && self.ended.is_none() =>
            {
                self.is_suspended = command == Command::Suspend(true) && self.freezing.is_none();
                self.freezing.get_or_insert_with(Instant::now);
            }
            Command::Suspend(false) if !std::mem::take(&mut self.is_suspended) => {}
            Command::Freeze(false) | Command::Suspend(false) => self.thaw(),
            Command::Quit => {
                self.thaw();
                self.is_quitting = true;
                if let Some(app) = &mut self.app {
                    app.end();
                }
            }
            _ => {}
        }
    }

    fn wait(&self, at_most: Duration) {
        if self.is_over() {
            return std::thread::sleep(at_most);
        }
        // Rung or not: there is something to look at again.
        let _ = self.bell.recv_timeout(at_most);
    }

    fn sources(&self) -> &[(Arc<str>, String)] {
        self.sources.all()
    }
}
