//! Why does one see nothing, or too little? What the first updates of a console tell of the program behind it, each
//! thing with its cause and its cure.

use std::time::Duration;

use console_api::async_ops::AsyncOpUpdate;
use console_api::field::{Name, Value};
use console_api::instrument::Update;
use console_api::resources::ResourceUpdate;
use console_api::tasks::TaskUpdate;
use rustc_hash::{FxHashMap, FxHashSet};

use super::console::Stamp;
use super::console::facts::is_spawn;
use super::lateness::Lateness;
use super::wire::Message;

/// Tasks that are told apart; of a larger program the first ones tell enough.
const TASKS_MAX: usize = 100_000;

/// How good the news is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Fine,
    /// Something is missing from the picture.
    Odd,
    /// There is no picture.
    Wrong,
}

/// One line of cause and one of cure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub verdict: Verdict,
    pub cause: String,
    /// Empty where nothing is to be done.
    pub cure: String,
}

impl Line {
    pub fn fine(cause: impl Into<String>) -> Self {
        Self { verdict: Verdict::Fine, cause: cause.into(), cure: String::new() }
    }

    pub fn odd(cause: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { verdict: Verdict::Odd, cause: cause.into(), cure: cure.into() }
    }

    pub fn wrong(cause: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { verdict: Verdict::Wrong, cause: cause.into(), cure: cure.into() }
    }
}

/// What was learnt so far.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    updates: u64,
    /// Every place that the program's tracing told of.
    has_spawns: bool,
    has_resources: bool,
    tokio: Option<String>,
    tasks: FxHashSet<u64>,
    alive: FxHashMap<u64, bool>,
    /// Tasks that have counts and were never told of.
    unknown: FxHashSet<u64>,
    lowest_number: Option<u64>,
    /// When the oldest task that is told of was spawned, since the Unix epoch.
    oldest: Option<Duration>,
    polls: FxHashMap<u64, u64>,
    wakes: u64,
    resources: u64,
    awaits: u64,
    dropped: [u64; 3],
    lateness: Lateness,
    /// How late its console told what was new, at worst.
    late: Option<Duration>,
    first: Option<Duration>,
    last: Option<Duration>,
}

impl Facts {
    /// Takes in what one message tells, a few entries at a time.
    pub fn learn(&mut self, mut message: Message) {
        self.updates += 1;
        self.lateness.begin(Stamp::of(message.now));
        for (sum, dropped) in self.dropped.iter_mut().zip(message.dropped()) {
            *sum = sum.saturating_add(dropped);
        }
        let now = message.now.and_then(|now| std::time::SystemTime::try_from(now).ok());
        let now = now.and_then(|now| now.duration_since(std::time::UNIX_EPOCH).ok());
        self.first = self.first.or(now);
        self.last = now.or(self.last);
        message.parts().for_each(|part| self.learn_part(&part));
        self.lateness.finish();
        self.late = self.late.max(self.lateness.late());
    }

    fn learn_part(&mut self, part: &Update) {
        self.lateness.note(
            part.task_update.as_ref().unwrap_or(&TaskUpdate::default()),
            part.resource_update.as_ref().unwrap_or(&ResourceUpdate::default()),
            part.async_op_update.as_ref().unwrap_or(&AsyncOpUpdate::default()),
        );
        for told in part.new_metadata.iter().flat_map(|new| &new.metadata).filter_map(|new| new.metadata.as_ref()) {
            self.has_spawns |= is_spawn(told);
            self.has_resources |= told.name == "runtime.resource";
            let file = told.location.as_ref().and_then(|location| location.file.as_deref()).unwrap_or_default();
            self.tokio = self.tokio.take().or_else(|| tokio_version(file).map(str::to_owned));
        }
        if let Some(told) = &part.task_update {
            for task in told.new_tasks.iter().take(TASKS_MAX.saturating_sub(self.tasks.len())) {
                let Some(id) = &task.id else { continue };
                self.tasks.insert(id.id);
                let number = task.fields.iter().find_map(|field| match (&field.name, &field.value) {
                    (Some(Name::StrName(name)), Some(Value::U64Val(number))) if name == "task.id" => Some(*number),
                    _ => None,
                });
                self.lowest_number = self.lowest_number.into_iter().chain(number).min();
            }
            for (id, stats) in &told.stats_update {
                if !self.tasks.contains(id) {
                    self.unknown.extend((self.unknown.len() < TASKS_MAX).then_some(*id));
                    continue;
                }
                let created =
                    stats.created_at.and_then(|at| Some(Duration::from_secs(u64::try_from(at.seconds).ok()?)));
                self.oldest = self.oldest.into_iter().chain(created).min();
                self.alive.insert(*id, stats.dropped_at.is_none());
                self.polls.insert(*id, stats.poll_stats.as_ref().map_or(0, |polls| polls.polls));
                self.wakes = self.wakes.max(stats.wakes);
            }
        }
        if let Some(told) = &part.resource_update {
            self.resources += told.new_resources.len() as u64;
        }
        if let Some(told) = &part.async_op_update {
            self.awaits += told.new_async_ops.len() as u64;
        }
    }

    /// How often the program publishes, as far as two updates tell.
    fn interval(&self) -> Option<Duration> {
        let gaps = u32::try_from(self.updates.checked_sub(1)?).ok().filter(|gaps| *gaps > 0)?;
        Some(self.last?.checked_sub(self.first?)? / gaps)
    }

    /// Says what all of it means, in the order in which one thing rests on the other.
    pub fn diagnose(&self) -> Vec<Line> {
        if self.updates == 0 {
            return vec![Line::wrong(
                "it speaks the console protocol and publishes nothing",
                "its console may be paused by another client (press space there); or its first message is too big: \
                 set TOKIO_CONSOLE_RETENTION=1s where the app starts",
            )];
        }
        let mut lines = Vec::new();
        lines.push(match self.interval() {
            Some(every) => Line::fine(format!(
                "it speaks the console protocol and publishes about every {}",
                humantime::format_duration(rounded(every))
            )),
            None => Line::fine("it speaks the console protocol"),
        });
        if let Some(version) = &self.tokio {
            lines.push(Line::fine(format!("it is built with tokio {version}")));
        }
        lines.push(self.about_tasks());
        if !self.unknown.is_empty() {
            lines.push(Line::odd(
                format!(
                    "{} with counts but without a name: left out of a first message over 4 MiB",
                    how_many(self.unknown.len(), "task")
                ),
                "set TOKIO_CONSOLE_RETENTION=1s where the app starts, and attach early",
            ));
        }
        lines.extend(self.about_beginnings());
        lines.extend(self.about_wakes());
        lines.extend(self.about_resources());
        lines.push(self.about_drops());
        lines
    }

    fn about_tasks(&self) -> Line {
        let alive = self.alive.values().filter(|alive| **alive).count();
        if !self.tasks.is_empty() {
            return Line::fine(format!("it tells of {}, {alive} alive", how_many(self.tasks.len(), "task")));
        }
        match self.has_spawns {
            true => {
                Line::wrong("tokio is instrumented, and there is no task now", "nothing is spawned, or all have ended")
            }
            false => Line::wrong(
                "no task was ever spawned that its subscriber could see",
                "build the app with RUSTFLAGS=\"--cfg tokio_unstable\" and tokio's feature `tracing`; see that no filter \
                 hides the targets `tokio` and `runtime` at level TRACE; that only one version of tokio is in its \
                 `cargo tree`; and that it spawns anything at all",
            ),
        }
    }

    fn about_beginnings(&self) -> Option<Line> {
        let missing = self.lowest_number?.checked_sub(FIRST_NUMBERS)?;
        // In an older program they have just ended and were forgotten.
        let is_young = self.last?.checked_sub(self.oldest?)? < RETENTION_DEFAULT;
        (missing > 0 && is_young).then(|| {
            Line::odd(
                format!("about {missing} tasks were spawned before the first that it tells of"),
                "call console_subscriber::init() first thing in main, before any runtime is made",
            )
        })
    }

    fn about_wakes(&self) -> Option<Line> {
        // The first poll comes with the spawn, every other with a wake.
        let polled_again =
            self.polls.iter().any(|(id, polls)| *polls > 1 && self.alive.get(id).is_some_and(|alive| *alive));
        (polled_again && self.wakes == 0).then(|| {
            Line::odd(
                "tasks are polled, but no wake is ever told",
                "a filter hides them: let the targets `tokio` and `runtime` through at level TRACE, for example \
                 RUST_LOG=tokio=trace,runtime=trace; and see that no max_level feature of tracing is set",
            )
        })
    }

    fn about_resources(&self) -> Option<Line> {
        if self.tasks.is_empty() {
            return None;
        }
        if !self.has_resources && self.resources == 0 {
            return Some(Line::fine("it uses no timer, lock, semaphore, barrier or oneshot of tokio's so far"));
        }
        (self.resources > 0 && self.awaits == 0).then(|| {
            Line::odd(
                "it has resources, but tells of no await on them",
                "of sleeps tokio 1.53 and later tells none; `loopscope exec -- COMMAND` sees them",
            )
        })
    }

    fn about_drops(&self) -> Line {
        let [tasks, resources, awaits] = self.dropped;
        let cause = if tasks.max(resources).max(awaits) > 0 {
            format!(
                "it dropped events before they were told: {tasks} of tasks, {resources} of resources, {awaits} of awaits"
            )
        } else if let Some(late) = self.late {
            let late = late.as_secs().max(1);
            format!("its console cannot keep up: what it tells as new is {late} s old, and soon it drops")
        } else {
            return Line::fine("it dropped nothing while this looked");
        };
        Line::odd(
            cause,
            "console-subscriber takes in at most 128 events each time it publishes: set \
             TOKIO_CONSOLE_PUBLISH_INTERVAL=50ms where the app starts, or let loopscope start it: \
             loopscope exec -- COMMAND sees every poll all the same",
        )
    }
}

fn how_many(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// To two digits: nobody's interval is 997 ms.
fn rounded(duration: Duration) -> Duration {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let unit = 10_u64.saturating_pow(ms.checked_ilog10().unwrap_or(0).saturating_sub(1));
    Duration::from_millis((ms + unit / 2) / unit * unit)
}

/// How long console-subscriber remembers a task that has ended, unless it is told otherwise.
const RETENTION_DEFAULT: Duration = Duration::from_secs(3600);

/// tokio's own numbers of tasks begin about here; the runtime takes the first ones for itself.
const FIRST_NUMBERS: u64 = 32;

/// The version in a path of tokio's own sources, such as `…/tokio-1.54.1/src/task/spawn.rs`.
fn tokio_version(file: &str) -> Option<&str> {
    let parts = file.split(['/', '\\']);
    let version = parts.filter_map(|part| part.strip_prefix("tokio-")).next()?;
    let is_version = version.starts_with(|first: char| first.is_ascii_digit())
        && version.len() < 32
        && version.chars().all(|char| char.is_ascii_alphanumeric() || ".-+".contains(char));
    is_version.then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_tokio_is_read_from_a_path_of_its_sources() {
        assert_eq!(tokio_version("/home/a/.cargo/registry/src/index/tokio-1.54.1/src/task/spawn.rs"), Some("1.54.1"));
        assert_eq!(tokio_version("/home/a/tokio-util-0.7.1/src/lib.rs"), None);
        assert_eq!(tokio_version("src/main.rs"), None);
    }

    #[test]
    fn intervals_are_said_as_people_set_them() {
        let said = |ms| rounded(Duration::from_millis(ms)).as_millis();
        assert_eq!([997, 1004, 101, 49, 7, 0].map(said), [1000, 1000, 100, 49, 7, 0]);
    }

    #[test]
    fn silence_and_emptiness_are_told_apart() {
        let verdicts = |facts: &Facts| facts.diagnose().into_iter().map(|line| line.verdict).max();
        let mut facts = Facts::default();
        assert_eq!(verdicts(&facts), Some(Verdict::Wrong));
        assert!(facts.diagnose()[0].cure.contains("paused"));
        facts.learn(Message::read(Vec::new().into()).expect("nothing is an update too"));
        assert!(facts.diagnose().iter().any(|line| line.cure.contains("tokio_unstable")), "no place was ever told");
    }
}
