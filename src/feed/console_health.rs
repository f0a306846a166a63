//! Diagnoses why an attached app shows nothing or too little, from the first updates of its console. Each finding
//! has a cause and a remedy.

use std::time::Duration;

use console_api::async_ops::AsyncOpUpdate;
use console_api::field::{Name, Value};
use console_api::instrument::Update;
use console_api::resources::ResourceUpdate;
use console_api::tasks::TaskUpdate;
use rustc_hash::{FxHashMap, FxHashSet};

use super::console::{PublishLag, WireTimestamp, is_spawn};
use super::wire::ConsoleMessage;

/// Tasks that are tracked; the first ones of a larger program suffice.
const TASKS_MAX: usize = 100_000;

/// Time from the first update in which an app should have reported a task, in nanoseconds.
pub const TASKS_EXPECTED_NS: u64 = 3_000_000_000;

/// Returns the likely reasons why an app reports no task. `is_instrumented`: it registered tokio's span for tasks.
pub fn missing_tasks_reasons(is_instrumented: bool) -> &'static str {
    if is_instrumented {
        "the app spawned none; it called console_subscriber::init() after its runtime had started its tasks; or tracing \
         disabled tokio's spans at their first use, a race at the app's start: start it again"
    } else {
        "the app spawned none; it was built without --cfg tokio_unstable or tokio's feature `tracing`; a filter hides \
         tokio's spans; it called console_subscriber::init() after its runtime had started its tasks; or tracing \
         disabled tokio's spans at their first use, a race at the app's start: start it again"
    }
}

/// Severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HealthLevel {
    /// Nothing to do.
    Ok,
    /// Something is missing.
    Warning,
    /// Nothing can be shown.
    Error,
}

/// One finding: cause and remedy, a line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// How severe it is.
    pub level: HealthLevel,
    /// What was found.
    pub cause: String,
    /// What to do; empty if nothing is to be done.
    pub remedy: String,
}

impl HealthCheck {
    /// Creates a finding that needs no remedy.
    pub fn ok(cause: impl Into<String>) -> Self {
        Self { level: HealthLevel::Ok, cause: cause.into(), remedy: String::new() }
    }

    /// Creates a finding of missing data.
    pub fn warning(cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { level: HealthLevel::Warning, cause: cause.into(), remedy: remedy.into() }
    }

    /// Creates a finding that nothing can be shown.
    pub fn error(cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { level: HealthLevel::Error, cause: cause.into(), remedy: remedy.into() }
    }
}

/// What the updates of a console have shown so far.
#[derive(Clone, Debug, Default)]
pub struct ConsoleHealth {
    updates: u64,
    /// Whether the program registered tokio's span for tasks, and the one for resources.
    has_spawn_span: bool,
    has_resource_span: bool,
    tokio: Option<String>,
    tasks: FxHashSet<u64>,
    alive: FxHashMap<u64, bool>,
    /// Tasks with statistics whose names were not reported.
    nameless: FxHashSet<u64>,
    lowest_task_id: Option<u64>,
    /// Spawn time of the oldest reported task, since the Unix epoch.
    oldest: Option<Duration>,
    polls: FxHashMap<u64, u64>,
    wakes: u64,
    resources: u64,
    awaits: u64,
    dropped: [u64; 3],
    publish_lag: PublishLag,
    /// Greatest publish lag.
    lag_max: Option<Duration>,
    first: Option<Duration>,
    last: Option<Duration>,
}

impl ConsoleHealth {
    /// Reads one message, a few entries at a time.
    pub fn observe(&mut self, mut message: ConsoleMessage) {
        self.updates += 1;
        self.publish_lag.begin_update(WireTimestamp::from_proto(message.now));
        for (sum, dropped) in self.dropped.iter_mut().zip(message.dropped_events()) {
            *sum = sum.saturating_add(dropped);
        }
        let now = message.now.and_then(|now| std::time::SystemTime::try_from(now).ok());
        let now = now.and_then(|now| now.duration_since(std::time::UNIX_EPOCH).ok());
        self.first = self.first.or(now);
        self.last = now.or(self.last);
        message.parts().for_each(|part| self.observe_part(&part));
        self.publish_lag.finish_update();
        self.lag_max = self.lag_max.max(self.publish_lag.lag());
    }

    fn observe_part(&mut self, part: &Update) {
        self.publish_lag.observe(
            part.task_update.as_ref().unwrap_or(&TaskUpdate::default()),
            part.resource_update.as_ref().unwrap_or(&ResourceUpdate::default()),
            part.async_op_update.as_ref().unwrap_or(&AsyncOpUpdate::default()),
        );
        for metadata in part.new_metadata.iter().flat_map(|new| &new.metadata).filter_map(|new| new.metadata.as_ref()) {
            self.has_spawn_span |= is_spawn(metadata);
            self.has_resource_span |= metadata.name == "runtime.resource";
            let file = metadata.location.as_ref().and_then(|location| location.file.as_deref()).unwrap_or_default();
            self.tokio = self.tokio.take().or_else(|| tokio_version(file).map(str::to_owned));
        }
        if let Some(update) = &part.task_update {
            for task in update.new_tasks.iter().take(TASKS_MAX.saturating_sub(self.tasks.len())) {
                let Some(id) = &task.id else { continue };
                self.tasks.insert(id.id);
                let number = task.fields.iter().find_map(|field| match (&field.name, &field.value) {
                    (Some(Name::StrName(name)), Some(Value::U64Val(number))) if name == "task.id" => Some(*number),
                    _ => None,
                });
                self.lowest_task_id = self.lowest_task_id.into_iter().chain(number).min();
            }
            for (id, stats) in &update.stats_update {
                if !self.tasks.contains(id) {
                    self.nameless.extend((self.nameless.len() < TASKS_MAX).then_some(*id));
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
        if let Some(update) = &part.resource_update {
            self.resources += update.new_resources.len() as u64;
        }
        if let Some(update) = &part.async_op_update {
            self.awaits += update.new_async_ops.len() as u64;
        }
    }

    /// Returns the publish interval, if there were two updates.
    fn interval(&self) -> Option<Duration> {
        let gaps = u32::try_from(self.updates.checked_sub(1)?).ok().filter(|gaps| *gaps > 0)?;
        Some(self.last?.checked_sub(self.first?)? / gaps)
    }

    /// Returns the findings, prerequisites first.
    pub fn diagnose(&self) -> Vec<HealthCheck> {
        if self.updates == 0 {
            return vec![HealthCheck::error(
                "it speaks the console protocol but publishes nothing",
                "its console may be paused by another client (press space there); or its first message is too big: \
                 set TOKIO_CONSOLE_RETENTION=1s in the app's environment",
            )];
        }
        let mut lines = Vec::new();
        lines.push(match self.interval() {
            Some(every) => HealthCheck::ok(format!(
                "it speaks the console protocol and publishes about every {}",
                humantime::format_duration(round_to_two_digits(every))
            )),
            None => HealthCheck::ok("it speaks the console protocol"),
        });
        if let Some(version) = &self.tokio {
            lines.push(HealthCheck::ok(format!("it is built with tokio {version}")));
        }
        lines.push(self.check_tasks());
        if !self.nameless.is_empty() {
            lines.push(HealthCheck::warning(
                format!(
                    "{} without a name: omitted from a first message over 4 MiB",
                    plural(self.nameless.len(), "task")
                ),
                "set TOKIO_CONSOLE_RETENTION=1s in the app's environment, and attach early",
            ));
        }
        lines.extend(self.check_early_tasks());
        lines.extend(self.check_wakes());
        lines.extend(self.check_resources());
        lines.push(self.check_drops());
        lines
    }

    fn check_tasks(&self) -> HealthCheck {
        let alive = self.alive.values().filter(|alive| **alive).count();
        if !self.tasks.is_empty() {
            return HealthCheck::ok(format!("it reports {}, {alive} alive", plural(self.tasks.len(), "task")));
        }
        match self.has_spawn_span {
            true => HealthCheck::error(
                "tokio is instrumented, but there is no task",
                "the app spawned no task, or all tasks have ended; or call console_subscriber::init() first in main, \
                 before any runtime is built, and start the app again: tracing may have disabled tokio's spans at \
                 their first use (docs/internals.md, section tracing)",
            ),
            false => HealthCheck::error(
                "the app reported no spawned task",
                "build the app with RUSTFLAGS=\"--cfg tokio_unstable\" and tokio's feature `tracing`; check that no \
                 filter hides the targets `tokio` and `runtime` at level TRACE, that `cargo tree -d` shows only one \
                 version of tokio, and that the app spawns tasks after console_subscriber::init(); start the app \
                 again, because tracing may have disabled tokio's spans at their first use (docs/internals.md, \
                 section tracing)",
            ),
        }
    }

    fn check_early_tasks(&self) -> Option<HealthCheck> {
        let missing = self.lowest_task_id?.checked_sub(RUNTIME_TASK_IDS)?;
        // In an older program they may have ended and been evicted.
        let is_young = self.last?.checked_sub(self.oldest?)? < RETENTION_DEFAULT;
        (missing > 0 && is_young).then(|| {
            HealthCheck::warning(
                format!("about {missing} tasks were spawned before the first one that it reports"),
                "call console_subscriber::init() first in main, before any runtime is built",
            )
        })
    }

    fn check_wakes(&self) -> Option<HealthCheck> {
        // The first poll follows the spawn, every other one a wake.
        let polled_again =
            self.polls.iter().any(|(id, polls)| *polls > 1 && self.alive.get(id).is_some_and(|alive| *alive));
        (polled_again && self.wakes == 0).then(|| {
            HealthCheck::warning(
                "tasks are polled, but no wake is reported",
                "a filter hides them: enable the targets `tokio` and `runtime` at level TRACE, for example with \
                 RUST_LOG=tokio=trace,runtime=trace; and check that no max_level feature of tracing is set",
            )
        })
    }

    fn check_resources(&self) -> Option<HealthCheck> {
        if self.tasks.is_empty() {
            return None;
        }
        if !self.has_resource_span && self.resources == 0 {
            return Some(HealthCheck::ok("it has used no timer, lock, semaphore, barrier or oneshot of tokio so far"));
        }
        (self.resources > 0 && self.awaits == 0).then(|| {
            HealthCheck::warning(
                "it has resources, but reports no await on them",
                "tokio 1.53 and later reports none for sleeps; `loopscope exec -- COMMAND` shows them",
            )
        })
    }

    fn check_drops(&self) -> HealthCheck {
        let [tasks, resources, awaits] = self.dropped;
        let cause = if tasks.max(resources).max(awaits) > 0 {
            format!("it dropped events: {tasks} about tasks, {resources} about resources, {awaits} about awaits")
        } else if let Some(lag) = self.lag_max {
            let lag = lag.as_secs().max(1);
            format!("its console cannot keep up: new events arrive {lag} s late, and it will soon drop some")
        } else {
            return HealthCheck::ok("it dropped no events during this check");
        };
        HealthCheck::warning(
            cause,
            "console-subscriber takes in at most 128 events each time it publishes: set \
             TOKIO_CONSOLE_PUBLISH_INTERVAL=50ms in the app's environment, or use `loopscope exec -- COMMAND`, which \
             records every poll regardless",
        )
    }
}

fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Rounds to two significant digits: a measured 997 ms is a configured 1 s.
fn round_to_two_digits(duration: Duration) -> Duration {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let unit = 10_u64.saturating_pow(ms.checked_ilog10().unwrap_or(0).saturating_sub(1));
    Duration::from_millis((ms + unit / 2) / unit * unit)
}

/// How long console-subscriber retains a task that has ended, by default.
const RETENTION_DEFAULT: Duration = Duration::from_secs(3600);

/// tokio's task ids begin about here; the runtime takes the first ones for itself.
const RUNTIME_TASK_IDS: u64 = 32;

/// Extracts the version from a path of tokio's own sources, such as `…/tokio-1.54.1/src/task/spawn.rs`.
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
    fn reads_tokio_version_from_source_path() {
        assert_eq!(tokio_version("/home/a/.cargo/registry/src/index/tokio-1.54.1/src/task/spawn.rs"), Some("1.54.1"));
        assert_eq!(tokio_version("/home/a/tokio-util-0.7.1/src/lib.rs"), None);
        assert_eq!(tokio_version("src/main.rs"), None);
    }

    #[test]
    fn rounds_publish_interval() {
        let rounded = |ms| round_to_two_digits(Duration::from_millis(ms)).as_millis();
        assert_eq!([997, 1004, 101, 49, 7, 0].map(rounded), [1000, 1000, 100, 49, 7, 0]);
    }

    #[test]
    fn tells_silence_from_no_tasks() {
        let levels = |health: &ConsoleHealth| health.diagnose().into_iter().map(|line| line.level).max();
        let mut health = ConsoleHealth::default();
        assert_eq!(levels(&health), Some(HealthLevel::Error));
        assert!(health.diagnose()[0].remedy.contains("paused"));
        health.observe(ConsoleMessage::parse(Vec::new().into()).expect("an empty message is valid"));
        assert!(health.diagnose().iter().any(|line| line.remedy.contains("tokio_unstable")), "no span was registered");
        for instrumented in [false, true] {
            health.has_spawn_span = instrumented;
            assert!(health.diagnose().iter().any(|line| line.remedy.contains("disabled tokio's spans")));
        }
    }
}
