//! Timers, blocking calls and the clock.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use mlua::{AnyUserData, Error, Lua, MetaMethod, MultiValue, UserData, UserDataMethods, Value};

use super::actor;
use super::awaitable::{StartFn, make_awaitable, make_resource_awaitable};
use super::lock::lock;
use super::resource_label::ResourceLabel;
use super::script_host::ScriptHost;
use super::values::{describe, number_of};
use crate::control::{ClockKind, duration};
use crate::trace::{AwaitKind, Nanos, ResourceKind};
use crate::workload::fault::{FaultKind, ScriptFault};

pub(super) fn install(lua: &Lua, host: &Arc<ScriptHost>) -> mlua::Result<()> {
    host_function!(lua, host, "sleep", |lua: &Lua,
                                        host: &Arc<ScriptHost>,
                                        source: &Arc<str>,
                                        (value, options): (Value, Value)| {
        let duration = read_duration(lua, host, source, &value)?;
        let actor = actor::named(lua, host, source, &options)?;
        if duration.is_zero() {
            return make_resource_awaitable(lua, host, AwaitKind::Yield, source, actor, yield_once());
        }
        let start: StartFn = Box::new(move |loop_handle, _| Box::pin(loop_handle.sleep(duration).map(no_values)));
        make_resource_awaitable(lua, host, AwaitKind::Timer, source, actor, start)
    });
    host_function!(lua, host, "sleep_until", |lua: &Lua, host: &Arc<ScriptHost>, source: &Arc<str>, value: Value| {
        // A point in time is given in seconds since the run began, as `now()` returns it.
        let at = duration::to_nanos(read_duration(lua, host, source, &value)?);
        if at <= host.loop_handle(lua, source)?.now_ns() {
            return make_awaitable(lua, host, AwaitKind::Yield, source, yield_once());
        }
        sleep_until(lua, host, source, at)
    });
    host_function!(lua, host, "yield_now", |lua: &Lua, host: &Arc<ScriptHost>, source: &Arc<str>, ()| {
        let start: StartFn = Box::new(|loop_handle, _| Box::pin(loop_handle.yield_now().map(no_values)));
        make_awaitable(lua, host, AwaitKind::Yield, source, start)
    });
    host_function!(lua, host, "interval", interval);
    host_function!(lua, host, "spawn_blocking", spawn_blocking);
    host_function!(lua, host, "block", block);
    host_function!(lua, host, "work", block);
    host_function!(lua, host, "now", |lua: &Lua, host: &Arc<ScriptHost>, _: &Arc<str>, ()| {
        Ok(host.loop_handle(lua, "now")?.now_ns() as f64 / 1e9)
    });
    host_function!(lua, host, "clock", |lua: &Lua, host: &Arc<ScriptHost>, _: &Arc<str>, ()| {
        Ok(clock_text(host.loop_handle(lua, "clock")?.now_ns()))
    });
    Ok(())
}

/// A sleep that is over before it begins: it lets the tasks run first that are ready, as in asyncio.
fn yield_once() -> StartFn {
    Box::new(|loop_handle, _| Box::pin(loop_handle.requeue().map(no_values)))
}

fn no_values((): ()) -> mlua::Result<MultiValue> {
    Ok(MultiValue::new())
}

fn sleep_until(lua: &Lua, host: &ScriptHost, source: &Arc<str>, at: Nanos) -> mlua::Result<AnyUserData> {
    let start: StartFn = Box::new(move |loop_handle, _| Box::pin(loop_handle.sleep_until(at).map(no_values)));
    make_awaitable(lua, host, AwaitKind::Timer, source, start)
}

/// `block(d)` and `work(d)`: a blocking call. The loop runs nothing else until it returns.
fn block(lua: &Lua, host: &Arc<ScriptHost>, source: &Arc<str>, value: Value) -> mlua::Result<()> {
    let duration = read_duration(lua, host, source, &value)?;
    let site = host.site(AwaitKind::BlockingCall, source, host.caller_line(lua));
    let blocked = host.loop_handle(lua, source)?.block(&site, duration);
    blocked.map_err(|stopped| Error::external(ScriptFault::new(stopped.to_string()).kind(FaultKind::Stopped)))
}

/// `spawn_blocking(d)`: a blocking call on another thread, started immediately. The loop keeps running.
///
/// On the real clock it runs on tokio's blocking pool. Outstanding work there would stop a virtual clock, so on a
/// virtual clock it is a timer, as if the pool had unlimited threads.
fn spawn_blocking(lua: &Lua, host: &Arc<ScriptHost>, source: &Arc<str>, value: Value) -> mlua::Result<AnyUserData> {
    let duration = read_duration(lua, host, source, &value)?;
    let loop_handle = host.loop_handle(lua, source)?;
    if loop_handle.clock() == ClockKind::Virtual {
        return sleep_until(lua, host, source, loop_handle.now_ns().saturating_add(duration::to_nanos(duration)));
    }
    let pooled = loop_handle.without_tracing(|| tokio::task::spawn_blocking(move || std::thread::sleep(duration)));
    let start: StartFn = Box::new(move |loop_handle, _| {
        Box::pin(loop_handle.untraced(|| pooled).map(|slept| slept.map_err(Error::external).and_then(no_values)))
    });
    make_awaitable(lua, host, AwaitKind::Task, source, start)
}

/// Reads a duration argument of the function `source`: seconds, or text such as `"10ms"`.
pub(super) fn read_duration(lua: &Lua, host: &ScriptHost, source: &str, value: &Value) -> mlua::Result<Duration> {
    let read = match value {
        Value::String(text) => duration::parse(&text.to_string_lossy()),
        other => match number_of(other) {
            Some(seconds) => duration::from_seconds(seconds),
            None => Err(format!("{source} needs a duration, but got {}", describe(other))),
        },
    };
    read.map_err(|reason| {
        let fault = ScriptFault::new(reason).token(source);
        host.usage_error(lua, fault.hint(format!("write {source}(1.5) for seconds, or {source}(\"10ms\")")))
    })
}

/// What an interval does after missed ticks, like tokio's type of the same name.
#[derive(Clone, Copy)]
enum MissedTickBehavior {
    /// Missed ticks fire immediately until the interval has caught up.
    Burst,
    /// The next tick fires one period after the late one.
    Delay,
    /// Missed ticks are skipped; the next tick fires at the next multiple of the period.
    Skip,
}

/// A tick that is later than this counts as missed. The value is tokio's.
const LATE_TICK_MIN_NS: Nanos = 5_000_000;

impl MissedTickBehavior {
    /// Returns the due time of the tick after the one that was due at `due` and fired at `now`, by tokio's rules.
    fn next(self, due: Nanos, now: Nanos, period: Nanos) -> Nanos {
        let punctual = due.saturating_add(period);
        if now <= due.saturating_add(LATE_TICK_MIN_NS) {
            return punctual;
        }
        match self {
            Self::Burst => punctual,
            Self::Delay => now.saturating_add(period),
            Self::Skip => now.saturating_add(period) - (now - due) % period,
        }
    }
}

/// An interval built from the lab's timers, with tokio's rules for missed ticks.
///
/// tokio's own interval does not expose its next deadline, which the virtual clock and the screen need.
struct ScriptInterval {
    label: ResourceLabel,
    source: Arc<str>,
    period: Nanos,
    missed: MissedTickBehavior,
    due: Arc<Mutex<Nanos>>,
}

fn interval(
    lua: &Lua,
    host: &Arc<ScriptHost>,
    source: &Arc<str>,
    (period, options): (Value, Value),
) -> mlua::Result<ScriptInterval> {
    let refuse = |what: String| {
        let hint = "write interval(1, { missed = \"burst\" }), \"delay\" or \"skip\"";
        host.usage_error(lua, ScriptFault::new(what).token("interval").hint(hint))
    };
    let period = duration::to_nanos(read_duration(lua, host, source, &period)?);
    if period == 0 {
        return Err(refuse("an interval needs a period above 0".to_owned()));
    }
    let missed = match &options {
        Value::Nil => Value::Nil,
        Value::Table(options) => options.get::<Value>("missed")?,
        other => return Err(refuse(format!("interval takes {{missed = …}}, but got {}", describe(other)))),
    };
    let missed = match missed.as_string().map(|text| text.to_string_lossy()).as_deref() {
        None if missed.is_nil() => MissedTickBehavior::Burst,
        Some("burst") => MissedTickBehavior::Burst,
        Some("delay") => MissedTickBehavior::Delay,
        Some("skip") => MissedTickBehavior::Skip,
        _ => return Err(refuse(format!("`missed` cannot be {}", describe(&missed)))),
    };
    let due = Arc::new(Mutex::new(host.loop_handle(lua, source)?.now_ns()));
    let label = ResourceLabel::new(lua, host, "interval", ResourceKind::Interval, period, &options)?;
    Ok(ScriptInterval { source: label.await_source("tick"), label, period, missed, due })
}

impl UserData for ScriptInterval {
    lua_type_name!("Interval");

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // Returns the due time of the tick in seconds; the first tick is due immediately.
        for name in ["tick", "next"] {
            methods.add_method(name, |lua, this, ()| {
                let (due, period, missed) = (Arc::clone(&this.due), this.period, this.missed);
                let start: StartFn = Box::new(move |loop_handle, _| {
                    let (at, loop_handle) = (*lock(&due), loop_handle.clone());
                    Box::pin(loop_handle.sleep_until(at).map(move |()| {
                        *lock(&due) = missed.next(at, loop_handle.now_ns(), period);
                        Ok(MultiValue::from_iter([Value::Number(at as f64 / 1e9)]))
                    }))
                });
                let resource = Some(this.label.resource);
                make_resource_awaitable(lua, &this.label.host, AwaitKind::Timer, &this.source, resource, start)
            });
        }
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(this.label.to_string()));
    }
}

/// Formats the time since the run began as hours, minutes and seconds: `00:01:30.500`.
fn clock_text(now_ns: u64) -> String {
    let milliseconds = now_ns / 1_000_000;
    let (seconds, milliseconds) = (milliseconds / 1_000, milliseconds % 1_000);
    format!("{:02}:{:02}:{:02}.{milliseconds:03}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_clock_text() {
        assert_eq!(clock_text(90_500_000_000), "00:01:30.500");
        assert_eq!(clock_text(43_200_000_000_000), "12:00:00.000");
    }

    #[test]
    fn missed_ticks_follow_the_behavior() {
        const SECOND: Nanos = 1_000_000_000;
        // Due at 1 s, fired at 3.5 s.
        let next = |missed: MissedTickBehavior| missed.next(SECOND, 7 * SECOND / 2, SECOND);
        assert_eq!(
            [MissedTickBehavior::Burst, MissedTickBehavior::Delay, MissedTickBehavior::Skip].map(next),
            [2, 0, 4].map(|s| if s == 0 { 9 * SECOND / 2 } else { s * SECOND })
        );
        assert_eq!(MissedTickBehavior::Delay.next(SECOND, SECOND + LATE_TICK_MIN_NS, SECOND), 2 * SECOND);
    }
}
