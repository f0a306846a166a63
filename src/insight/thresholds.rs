//! Thresholds of the lints. Users can change them in the settings file.

/// Unit of a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThresholdUnit {
    /// Nanoseconds of loop time. The field ends in `_ns`, the settings key does not.
    Time,
    /// A number of things.
    Count,
    /// Percent, usually 0 to 100.
    Percent,
    /// Bytes. The field ends in `_bytes`, the settings key does not.
    Bytes,
}

/// Describes one field of [`Thresholds`], for access by settings key.
#[derive(Clone, Copy, Debug)]
pub struct Threshold {
    /// Unit of the value.
    pub unit: ThresholdUnit,
    /// What the threshold controls, with the lints that use it: a line of the settings template.
    pub help: &'static str,
    field: &'static str,
    get: fn(&Thresholds) -> u64,
    set: fn(&mut Thresholds, u64),
}

impl Threshold {
    /// Settings key: `blocked_loop`.
    pub fn name(&self) -> &'static str {
        let unit = ["_ns", "_bytes"].iter().find_map(|unit| self.field.strip_suffix(unit));
        unit.unwrap_or(self.field)
    }

    /// Reads the value.
    pub fn get(&self, thresholds: &Thresholds) -> u64 {
        (self.get)(thresholds)
    }

    /// Sets the value.
    pub fn set(&self, thresholds: &mut Thresholds, value: u64) {
        (self.set)(thresholds, value);
    }
}

/// Generates the struct, its defaults and the list of its fields from one table.
macro_rules! thresholds {
    ($($field:ident: $unit:ident = $default:expr, $help:literal;)*) => {
        /// All thresholds. The default values are those of the settings file.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Thresholds {
            $(#[doc = $help] pub $field: u64,)*
        }

        impl Default for Thresholds {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl Thresholds {
            /// All thresholds, grouped by lint.
            pub const ALL: &'static [Threshold] = &[$(Threshold {
                unit: ThresholdUnit::$unit,
                help: $help,
                field: stringify!($field),
                get: |thresholds| thresholds.$field,
                set: |thresholds, value| thresholds.$field = value,
            },)*];
        }
    };
}

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLISECOND;

thresholds! {
    blocked_loop_ns: Time = 100 * MILLISECOND, "Maximum time that a poll may block the loop, not counting declared computation (blocked-loop).";
    never_yields_ns: Time = 10 * SECOND, "Maximum declared computation in one poll (never-yields).";
    never_yields_pieces: Count = 10, "A poll with less computation than `never_yields`, but more than `blocked_loop`, is reported if it has at least this many calls of `work` with no yield between them (never-yields).";
    starvation_ns: Time = 100 * MILLISECOND, "Maximum time that a task may stay scheduled during one poll that never yields (starvation).";
    busy_yield_turns: Count = 100, "Minimum number of consecutive yields without work (busy-yield); not turns of the loop.";
    busy_yield_per_second: Count = 2_000, "Minimum number of polls per second of a task whose polls are only counted (busy-yield).";
    busy_yield_poll_ns: Time = MILLISECOND / 10, "Maximum length of a poll that counts as doing no work (busy-yield, thundering-herd).";
    leak_tasks: Count = 20, "Minimum number of live tasks that were spawned at one location (leak).";
    leak_ended_percent: Percent = 10, "A spawn location is not reported if at least this percentage of its tasks have ended (leak).";
    thundering_herd_tasks: Count = 5, "Minimum number of tasks woken together (thundering-herd).";
    thundering_herd_percent: Percent = 50, "Maximum percentage of the woken tasks that make progress (thundering-herd).";
    convoy_tasks: Count = 3, "Minimum number of tasks in the queue of one lock (convoy).";
    convoy_turns: Count = 10, "Minimum number of handovers of the lock before its queue drains (convoy); not turns of the loop.";
    convoy_held_percent: Percent = 50, "Minimum percentage of the time for which the owner of the lock is busy or waits for anything but a message (convoy).";
    back_pressure_percent: Percent = 50, "Maximum percentage of its time that a sender may wait for capacity (back-pressure).";
    back_pressure_sends: Count = 5, "Minimum number of sends that waited for capacity (back-pressure).";
    interval_drift_percent: Percent = 100, "Maximum delay of an interval's last tick, as a percentage of its period (interval-drift).";
    interval_drift_ticks: Count = 5, "Minimum number of ticks of an interval (interval-drift).";
    overlapping_work_ns: Time = 0, "Maximum time that awaits of one actor's own work may overlap (overlapping-work).";
    large_future_bytes: Bytes = 4 << 10, "Minimum size of a future (large-future): bytes, or text with KiB, MiB or GiB.";
    lost_waker_ns: Time = SECOND, "Minimum time that a task waits without a live waker (lost-waker).";
    no_progress_ns: Time = 10 * SECOND, "Minimum time for which no task was polled although tasks wait (no-progress).";
    spawn_storm_tasks: Count = 200, "Minimum number of short tasks of one spawn location in each of two consecutive seconds (spawn-storm).";
    spawn_storm_life_ns: Time = 50 * MILLISECOND, "Maximum lifetime of a short task (spawn-storm).";
    lost_wake_ns: Time = 0, "A wait that never completed is reported if it lasted longer than this and its signal was sent before it began (lost-wake).";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_suffix_matches_unit() {
        for threshold in Thresholds::ALL {
            assert_eq!(threshold.field.ends_with("_ns"), threshold.unit == ThresholdUnit::Time, "{}", threshold.field);
            assert_eq!(
                threshold.field.ends_with("_percent"),
                threshold.unit == ThresholdUnit::Percent,
                "{}",
                threshold.field
            );
            assert_eq!(
                threshold.field.ends_with("_bytes"),
                threshold.unit == ThresholdUnit::Bytes,
                "{}",
                threshold.field
            );
            let mut changed = Thresholds::default();
            threshold.set(&mut changed, 77);
            assert_eq!(threshold.get(&changed), 77);
        }
    }
}
