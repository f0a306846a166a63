//! A program that is not ours, reached over its console's socket. The session is there at once; a thread of its own
//! connects, waits, tries again, and says how it stands.

mod line;
mod network;
mod words;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::error::TryRecvError;

use super::sources::{Reader, Sources};
use crate::app;
use crate::control::{
    ClockKind, Command, FeedChoice, Link, LinkState, Outcome, Phase, SourceKind, Speed, Status, Steering,
};
use crate::feed::wire::Address;
use crate::trace::{Event, Trace};
use line::{Near, News};

/// Events that are taken in between two looks at the clock.
const EVENTS_PER_LOOK: usize = 1_024;

/// See the module.
pub struct AttachSession {
    address: Address,
    memory_bytes: usize,
    trace: Trace,
    near: Near,
    /// Events of a batch that were received and are not in the trace yet.
    waiting: VecDeque<Event>,
    link: Link,
    /// Something of the program was seen.
    was_live: bool,
    /// When it is enough of waiting for somebody to answer.
    give_up_at: Option<Instant>,
    /// The person wants no more of it.
    is_left: bool,
    /// Nobody is at the other end of the line any more.
    is_cut: bool,
    successor: Option<Box<AttachSession>>,
    sources: Sources,
}

impl AttachSession {
    /// Begins to reach for the program at `address`, whose trace may keep about so many bytes.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start(address: &Address, memory_bytes: usize) -> std::io::Result<Self> {
        Self::start_built_in(None, address, memory_bytes)
    }

    /// [`AttachSession::start`], for a program that was built in `folder`, to show the lines that it names.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start_built_in(folder: Option<PathBuf>, address: &Address, memory_bytes: usize) -> std::io::Result<Self> {
        let (near, far) = line::line();
        network::start(address.clone(), far, Reader::of(folder))?;
        Ok(Self::at(address.clone(), memory_bytes, near))
    }

    fn at(address: Address, memory_bytes: usize, near: Near) -> Self {
        let mut trace = Trace::with_budget(memory_bytes);
        trace.set_sampled();
        trace.set_foreign();
        Self {
            address,
            memory_bytes,
            trace,
            near,
            waiting: VecDeque::new(),
            link: Link { state: LinkState::Connecting, note: String::new() },
            was_live: false,
            give_up_at: None,
            is_left: false,
            is_cut: false,
            successor: None,
            sources: Sources::default(),
        }
    }

    /// Ends as failed where nobody has answered by then.
    pub fn give_up_after(&mut self, patience: Duration) {
        self.give_up_at = Instant::now().checked_add(patience);
    }

    fn is_over(&self) -> bool {
        (self.is_left || self.is_cut || self.link.state == LinkState::Lost) && self.waiting.is_empty()
    }

    fn outcome(&self) -> Outcome {
        if self.was_live {
            return Outcome::Detached;
        }
        let why = if self.link.note.is_empty() { "nobody has answered yet" } else { self.link.note.as_str() };
        Outcome::Failed(why.to_owned())
    }

    fn take(&mut self, news: News) {
        match news {
            News::Link(link) => {
                self.was_live |= link.state == LinkState::Live;
                self.link = link;
            }
            News::Events(events) => self.waiting = events.into(),
            News::Source { file, text } => self.sources.keep(file, text),
            News::Another(near) => {
                self.successor = Some(Box::new(Self::at(self.address.clone(), self.memory_bytes, *near)));
            }
        }
    }
}

impl app::Session for AttachSession {
    fn trace(&self) -> &Trace {
        &self.trace
    }

    fn status(&self) -> Status {
        let is_over = self.is_over();
        Status {
            name: self.address.to_string(),
            source: SourceKind::Attach,
            steering: Steering::Nothing,
            link: Some(self.link.clone()),
            clock: ClockKind::Real,
            speed: Speed::Times(1.0),
            phase: if is_over { Phase::Ended } else { Phase::Running },
            now: self.trace.now(),
            next_timer: None,
            feed: FeedChoice::Console,
            outcome: is_over.then(|| self.outcome()),
        }
    }

    fn pump(&mut self, budget: Duration) -> bool {
        let begun = Instant::now();
        let mut changed = false;
        if !self.was_live && self.give_up_at.is_some_and(|give_up_at| begun >= give_up_at) {
            self.command(Command::Quit);
        }
        loop {
            let taken = self.waiting.len().min(EVENTS_PER_LOOK);
            self.waiting.drain(..taken).for_each(|event| self.trace.apply(event));
            changed |= taken > 0;
            if self.waiting.is_empty() && !self.is_left {
                match self.near.news.try_recv() {
                    Ok(news) => {
                        self.take(news);
                        changed = true;
                    }
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => {
                        changed |= !std::mem::replace(&mut self.is_cut, true);
                        break;
                    }
                }
            } else if self.waiting.is_empty() {
                break;
            }
            if begun.elapsed() >= budget {
                break;
            }
        }
        changed
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Select(task) => self.near.select(task),
            Command::Retry => self.near.retry(),
            Command::Quit => {
                self.is_left = true;
                self.near.leave();
            }
            // It is somebody else's program, and goes on whatever we say.
            _ => {}
        }
    }

    fn wait(&self, at_most: Duration) {
        if self.waiting.is_empty() {
            self.near.wait(at_most);
        }
    }

    fn successor(&mut self) -> Option<Box<dyn app::Session>> {
        self.successor.take().map(|successor| successor as Box<dyn app::Session>)
    }

    fn sources(&self) -> &[(Arc<str>, String)] {
        self.sources.all()
    }
}
