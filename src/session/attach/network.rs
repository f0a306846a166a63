//! The thread that listens: it connects, waits, tries again, and passes on what it is told.

use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use super::line::{Far, Left, News, line};
use super::words;
use crate::control::{Link, LinkState};
use crate::feed::console::{ForeignDoor, Polls, histograms};
use crate::feed::wire::{Address, Connection, Details, Message, Messages, Unreachable};
use crate::lab::uninstrumented;
use crate::session::sources::Reader;
use crate::trace::{Event, Nanos, TaskId};

/// The wait after a first attempt that failed; it doubles with each.
const BACKOFF_MIN: Duration = Duration::from_millis(250);

/// The longest wait between two attempts.
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// How long a task's histograms may take to be promised.
const DETAILS_PATIENCE: Duration = Duration::from_secs(5);

/// Starts the thread that listens at `address` and tells over `far`. It ends when the session does.
///
/// # Errors
/// Where the system gives no thread.
pub fn start(address: Address, far: Far, sources: Reader) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("loopscope-attach".into()).spawn(move || {
        // What this runtime does is nothing that anybody studies.
        tracing::dispatcher::with_default(&uninstrumented(), || {
            runtime.block_on(Network::new(address, far, sources).run());
            // A host's name that is still being looked up must not keep the thread.
            runtime.shutdown_background();
        });
    })?;
    Ok(())
}

struct Network {
    address: Address,
    far: Far,
    door: ForeignDoor,
    sources: Reader,
    began: Instant,
    /// The process behind the door has told something.
    was_live: bool,
    /// What was said of the link last.
    said: Option<Link>,
    /// Attempts that failed since somebody answered.
    attempts: u32,
}

/// Why a visit is over.
enum Ended {
    Left,
    Unreachable(Unreachable),
}

impl From<Left> for Ended {
    fn from(_: Left) -> Self {
        Self::Left
    }
}

impl From<Unreachable> for Ended {
    fn from(why: Unreachable) -> Self {
        Self::Unreachable(why)
    }
}

impl Network {
    fn new(address: Address, far: Far, sources: Reader) -> Self {
        Self {
            address,
            far,
            door: ForeignDoor::new(Polls::Told),
            sources,
            began: Instant::now(),
            was_live: false,
            said: None,
            attempts: 0,
        }
    }

    async fn run(mut self) {
        loop {
            let why = match self.visit().await {
                Err(Ended::Unreachable(why)) => why.to_string(),
                Err(Ended::Left) => return,
                Ok(never) => match never {},
            };
            let last = self.door.close();
            if !last.is_empty() && self.tell(last).await.is_err() {
                return;
            }
            if self.wait(&why).await.is_err() {
                return;
            }
        }
    }

    /// Waits before the next attempt, and says why.
    async fn wait(&mut self, why: &str) -> Result<(), Left> {
        let wait = BACKOFF_MIN.saturating_mul(1 << self.attempts.min(16)).min(BACKOFF_MAX);
        // What goes away may be back at once: it counts as lost when it does not answer to that.
        let is_lost = self.was_live && self.attempts > 0;
        let (state, note) = if is_lost {
            (LinkState::Lost, words::lost(why, self.attempts, &self.door))
        } else {
            let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            (LinkState::Retrying { attempts: self.attempts + 1, wait_ms }, why.to_owned())
        };
        self.attempts = self.attempts.saturating_add(1);
        self.say(state, note).await?;
        tokio::select! {
            () = self.far.left() => Err(Left),
            () = self.far.asked_to_retry() => Ok(()),
            () = sleep(wait) => Ok(()),
        }
    }

    /// From connecting until there is no more to hear.
    async fn visit(&mut self) -> Result<std::convert::Infallible, Ended> {
        if !self.was_live && self.attempts == 0 {
            self.say(LinkState::Connecting, String::new()).await?;
        }
        let address = self.address.clone();
        let mut reaching = std::pin::pin!(reach(&address));
        let reached = loop {
            tokio::select! {
                () = self.far.left() => return Err(Ended::Left),
                reached = &mut reaching => break reached,
                () = sleep(words::SLOW) => {
                    if !self.was_live {
                        self.say(LinkState::Waiting, words::NO_ANSWER_YET.to_owned()).await?;
                    }
                }
            }
        };
        let (connection, mut messages) = reached?;
        if !self.was_live {
            self.say(LinkState::Waiting, words::WAITING.to_owned()).await?;
        }
        let (mut details, mut is_first) = (Selected::default(), true);
        let mut selected = self.far.selected.clone();
        loop {
            let told = tokio::select! {
                () = self.far.left() => return Err(Ended::Left),
                told = timeout(words::SILENCE, messages.next()) => told,
                histograms = details.next() => {
                    if let Some(event) = histograms {
                        self.far.tell_events(vec![event]).await?;
                    }
                    continue;
                }
                Ok(()) = selected.changed() => {
                    let task = *selected.borrow_and_update();
                    details.select(task.and_then(|task| Some((task, self.door.span(task)?))), &connection).await;
                    continue;
                }
            };
            match told {
                Err(_) if !self.was_live => self.say(LinkState::Waiting, words::silent()).await?,
                Err(_) => self.say(LinkState::Live, words::live(&self.door, true)).await?,
                Ok(Ok(Some(message))) => {
                    self.take_in(message, is_first).await?;
                    if std::mem::take(&mut is_first) {
                        // It may be another session's line by now; what was selected before is wanted here too.
                        selected = self.far.selected.clone();
                        selected.mark_changed();
                    }
                }
                Ok(Ok(None)) => return Err(Unreachable::Closed.into()),
                Ok(Err(status)) => return Err(connection.lost(&status).into()),
            }
        }
    }

    /// Passes an update on; with the first of a connection it shows whose it is.
    async fn take_in(&mut self, mut message: Message, is_first: bool) -> Result<(), Left> {
        let mut hole_from = None;
        if is_first && self.was_live {
            if self.door.recognises(message.tasks()) {
                hole_from = Some(self.door.rejoin());
            } else {
                self.begin_another().await?;
            }
        }
        let arrived = Nanos::try_from(self.began.elapsed().as_nanos()).unwrap_or(Nanos::MAX);
        self.door.begin(&message, Some(arrived));
        for part in message.parts() {
            let events = self.door.take(part);
            self.tell(events).await?;
        }
        let mut events = self.door.finish(message.cut());
        events.extend(hole_from.map(|from| Event::Unwatched { from, to: self.door.stamps().now() }));
        self.tell(events).await?;
        (self.was_live, self.attempts) = (true, 0);
        self.say(LinkState::Live, words::live(&self.door, false)).await
    }

    async fn tell(&mut self, events: Vec<Event>) -> Result<(), Left> {
        for (file, text) in self.sources.read(&events) {
            self.far.tell(News::Source { file, text }).await?;
        }
        self.far.tell_events(events).await
    }

    /// Another process answers: what it tells never mixes with what the one before told.
    async fn begin_another(&mut self) -> Result<(), Left> {
        self.say(LinkState::Lost, words::REPLACED.to_owned()).await?;
        let (near, far) = line();
        self.far.tell(News::Another(Box::new(near))).await?;
        self.far = far;
        self.door = ForeignDoor::new(Polls::Told);
        self.sources = self.sources.anew();
        (self.was_live, self.said, self.attempts) = (false, None, 0);
        Ok(())
    }

    async fn say(&mut self, state: LinkState, note: String) -> Result<(), Left> {
        let link = Link { state, note };
        if self.said.as_ref() != Some(&link) {
            self.said = Some(link.clone());
            self.far.tell(News::Link(link)).await?;
        }
        Ok(())
    }
}

async fn reach(address: &Address) -> Result<(Connection, Messages), Unreachable> {
    let connection = Connection::open(address).await?;
    let messages = connection.messages().await?;
    Ok((connection, messages))
}

/// The task that is looked at, and what is told of it on request.
#[derive(Default)]
struct Selected {
    task: Option<TaskId>,
    details: Option<Details>,
}

impl Selected {
    /// Looks at another task. One that cannot be looked at has no histograms: nothing else depends on it.
    async fn select(&mut self, task: Option<(TaskId, u64)>, connection: &Connection) {
        *self = Self::default();
        let Some((task, span)) = task else { return };
        if let Ok(Ok(details)) = timeout(DETAILS_PATIENCE, connection.details(span)).await {
            (self.task, self.details) = (Some(task), Some(details));
        }
    }

    /// The next histograms; never, where nothing is looked at.
    async fn next(&mut self) -> Option<Event> {
        let (Some(task), Some(details)) = (self.task, &mut self.details) else { return std::future::pending().await };
        match details.next().await {
            Ok(Some(told)) => {
                let histograms = histograms(&told)?;
                Some(Event::Histograms { task, histograms: Box::new(histograms) })
            }
            _ => {
                self.details = None;
                None
            }
        }
    }
}
