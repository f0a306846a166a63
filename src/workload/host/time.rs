//! Time: what waits for it, what spends it, and what tells it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use mlua::{AnyUserData, Error, Lua, MetaMethod, MultiValue, UserData, UserDataMethods, Value};

use super::awaitable::{Start, awaitable, awaitable_of};
use super::label::Label;
use super::language::{describe, number_of};
use super::{Host, actor, locked, timeout};
use crate::control::ClockKind;
use crate::trace::{AwaitKind, Nanos, ResourceKind};
use crate::workload::duration;
use crate::workload::fault::{Fault, Weight};

pub(super) fn install(lua: &Lua, host: &Arc<Host>) -> mlua::Result<()> {
    word!(lua, host, "sleep", |lua: &Lua, host: &Arc<Host>, source: &Arc<str>, (value, options): (Value, Value)| {
        let duration = length_of_time(lua, host, source, &value)?;
        let actor = actor::named(lua, host, source, &options)?;
        let start: Start = Box::new(move |world, _| Box::pin(world.sleep(duration).map(nothing)));
        awaitable_of(lua, host, AwaitKind::Timer, source, actor, start)
    });
    word!(lua, host, "sleep_until", |lua: &Lua, host: &Arc<Host>, source: &Arc<str>, value: Value| {
        // A point in time is told as the length of time since the run began, as `now()` tells it.
        let at = nanos(length_of_time(lua, host, source, &value)?);
        sleep_until(lua, host, source, at)
    });
    word!(lua, host, "interval", interval);
    word!(lua, host, "spawn_blocking", spawn_blocking);
    word!(lua, host, "timeout", timeout::timeout);
    word!(lua, host, "block", block);
    word!(lua, host, "work", block);
    word!(lua, host, "now", |lua: &Lua, host: &Arc<Host>, _: &Arc<str>, ()| {
        Ok(host.world(lua, "now")?.now_ns() as f64 / 1e9)
    });
    word!(lua, host, "clock", |lua: &Lua, host: &Arc<Host>, _: &Arc<str>, ()| {
        Ok(clock_text(host.world(lua, "clock")?.now_ns()))
    });
    Ok(())
}

fn nothing((): ()) -> mlua::Result<MultiValue> {
    Ok(MultiValue::new())
}

fn nanos(duration: Duration) -> Nanos {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn sleep_until(lua: &Lua, host: &Host, source: &Arc<str>, at: Nanos) -> mlua::Result<AnyUserData> {
    let start: Start = Box::new(move |world, _| Box::pin(world.sleep_until(at).map(nothing)));
    awaitable(lua, host, AwaitKind::Timer, source, start)
}

/// A blocking call: nothing else runs on the loop until it returns.
fn block(lua: &Lua, host: &Arc<Host>, source: &Arc<str>, value: Value) -> mlua::Result<()> {
    let duration = length_of_time(lua, host, source, &value)?;
    let site = host.site(AwaitKind::Block, source, host.caller_line(lua));
    let blocked = host.world(lua, source)?.block(&site, duration);
    blocked.map_err(|stopped| Error::external(Fault::new(stopped.to_string()).weight(Weight::Stopped)))
}

/// The same call on another thread, begun at once; the loop goes on meanwhile.
///
/// On the real clock it is tokio's own blocking pool. Work outstanding there would hold a virtual clock, so on one it is
/// a length of virtual time, as if the pool had a thread for everybody.
fn spawn_blocking(lua: &Lua, host: &Arc<Host>, source: &Arc<str>, value: Value) -> mlua::Result<AnyUserData> {
    let duration = length_of_time(lua, host, source, &value)?;
    let world = host.world(lua, source)?;
    if world.clock() == ClockKind::Virtual {
        return sleep_until(lua, host, source, world.now_ns().saturating_add(nanos(duration)));
    }
    let pooled = world.quietly(|| tokio::task::spawn_blocking(move || std::thread::sleep(duration)));
    let start: Start = Box::new(move |world, _| {
        Box::pin(world.quiet(|| pooled).map(|slept| slept.map_err(Error::external).and_then(nothing)))
    });
    awaitable(lua, host, AwaitKind::Task, source, start)
}

pub(super) fn length_of_time(lua: &Lua, host: &Host, source: &str, value: &Value) -> mlua::Result<Duration> {
    let read = match value {
        Value::String(text) => duration::parse(&text.to_string_lossy()),
        other => match number_of(other) {
            Some(seconds) => duration::from_seconds(seconds),
            None => Err(format!("{source} needs a duration, and got {}", describe(other))),
        },
    };
    read.map_err(|reason| {
        let fault = Fault::new(reason).token(source);
        host.misuse(lua, fault.hint(format!("write {source}(1.5) for seconds, or {source}(\"10ms\")")))
    })
}

/// What an interval does about ticks that nobody was there for.
#[derive(Clone, Copy)]
enum Missed {
    /// They come one right after the other until it has caught up.
    Burst,
    /// The next comes a whole period after the late one.
    Delay,
    /// They are left out; the next comes where it would have come anyway.
    Skip,
}

/// Later than this a tick was missed: tokio's own tolerance.
const LATE: Nanos = 5_000_000;

impl Missed {
    /// When the tick after the one that was due at `due` comes, with tokio's rules.
    fn next(self, due: Nanos, now: Nanos, period: Nanos) -> Nanos {
        let punctual = due.saturating_add(period);
        if now <= due.saturating_add(LATE) {
            return punctual;
        }
        match self {
            Self::Burst => punctual,
            Self::Delay => now.saturating_add(period),
            Self::Skip => now.saturating_add(period) - (now - due) % period,
        }
    }
}

/// tokio does not tell when its interval ticks next, which the clock's pace and the screen need; so this one is made of
/// the lab's timers, and keeps tokio's rules.
struct Interval {
    label: Label,
    source: Arc<str>,
    period: Nanos,
    missed: Missed,
    due: Arc<Mutex<Nanos>>,
}

fn interval(
    lua: &Lua,
    host: &Arc<Host>,
    source: &Arc<str>,
    (period, options): (Value, Value),
) -> mlua::Result<Interval> {
    let refuse = |what: String| {
        let hint = "write interval(1, { missed = \"burst\" }), \"delay\" or \"skip\"";
        host.misuse(lua, Fault::new(what).token("interval").hint(hint))
    };
    let period = nanos(length_of_time(lua, host, source, &period)?);
    if period == 0 {
        return Err(refuse("an interval needs a period above 0".to_owned()));
    }
    let missed = match &options {
        Value::Nil => Value::Nil,
        Value::Table(options) => options.get::<Value>("missed")?,
        other => return Err(refuse(format!("interval takes {{missed = …}}, and got {}", describe(other)))),
    };
    let missed = match missed.as_string().map(|text| text.to_string_lossy()).as_deref() {
        None if missed.is_nil() => Missed::Burst,
        Some("burst") => Missed::Burst,
        Some("delay") => Missed::Delay,
        Some("skip") => Missed::Skip,
        _ => return Err(refuse(format!("`missed` cannot be {}", describe(&missed)))),
    };
    let due = Arc::new(Mutex::new(host.world(lua, source)?.now_ns()));
    let label = Label::new(lua, host, "interval", ResourceKind::Interval, period, &options)?;
    Ok(Interval { source: label.source("tick"), label, period, missed, due })
}

impl UserData for Interval {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // When the tick was due; the first is due at once.
        for name in ["tick", "next"] {
            methods.add_method(name, |lua, this, ()| {
                let (due, period, missed) = (Arc::clone(&this.due), this.period, this.missed);
                let start: Start = Box::new(move |world, _| {
                    let (at, world) = (*locked(&due), world.clone());
                    Box::pin(world.sleep_until(at).map(move |()| {
                        *locked(&due) = missed.next(at, world.now_ns(), period);
                        Ok(MultiValue::from_iter([Value::Number(at as f64 / 1e9)]))
                    }))
                });
                let resource = Some(this.label.resource);
                awaitable_of(lua, &this.label.host, AwaitKind::Timer, &this.source, resource, start)
            });
        }
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(this.label.to_string()));
    }
}

/// `00:01:30.500`: hours, minutes, seconds since the run began.
fn clock_text(now_ns: u64) -> String {
    let milliseconds = now_ns / 1_000_000;
    let (seconds, milliseconds) = (milliseconds / 1_000, milliseconds % 1_000);
    format!("{:02}:{:02}:{:02}.{milliseconds:03}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_reads_like_a_clock() {
        assert_eq!(clock_text(90_500_000_000), "00:01:30.500");
        assert_eq!(clock_text(43_200_000_000_000), "12:00:00.000");
    }

    #[test]
    fn missed_ticks_are_treated_as_asked() {
        const SECOND: Nanos = 1_000_000_000;
        // Due at 1 s, noticed at 3.5 s.
        let next = |missed: Missed| missed.next(SECOND, 7 * SECOND / 2, SECOND);
        assert_eq!(
            [Missed::Burst, Missed::Delay, Missed::Skip].map(next),
            [2, 0, 4].map(|s| if s == 0 { 9 * SECOND / 2 } else { s * SECOND })
        );
        assert_eq!(Missed::Delay.next(SECOND, SECOND + LATE, SECOND), 2 * SECOND);
    }
}
