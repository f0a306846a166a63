//! From where on something is worth a finding: a number for each lint, which a person can change in the settings.

/// What a threshold counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Nanoseconds of loop time. Its field ends in `_ns`, its name does not.
    Time,
    /// How many of something.
    Count,
    /// Hundredths of a whole, 0 to 100.
    Percent,
    /// Bytes of memory.
    Size,
}

/// One threshold as data, for whoever reads or writes them by name.
#[derive(Clone, Copy, Debug)]
pub struct Threshold {
    pub measure: Measure,
    pub help: &'static str,
    field: &'static str,
    get: fn(&Thresholds) -> u64,
    set: fn(&mut Thresholds, u64),
}

impl Threshold {
    /// What a settings file calls it: `blocked_loop`.
    pub fn name(&self) -> &'static str {
        let unit = ["_ns", "_bytes"].iter().find_map(|unit| self.field.strip_suffix(unit));
        unit.unwrap_or(self.field)
    }

    pub fn get(&self, thresholds: &Thresholds) -> u64 {
        (self.get)(thresholds)
    }

    pub fn set(&self, thresholds: &mut Thresholds, value: u64) {
        (self.set)(thresholds, value);
    }
}

/// Writes the struct, its defaults and the list of its fields from one table.
macro_rules! thresholds {
    ($($field:ident: $measure:ident = $default:expr, $help:literal;)*) => {
        /// Every threshold; see the module.
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
            /// All of them, by lint.
            pub const ALL: &'static [Threshold] = &[$(Threshold {
                measure: Measure::$measure,
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
    blocked_loop_ns: Time = 100 * MILLISECOND, "A poll that keeps the loop longer than this, other than by computing, blocks it.";
    never_yields_ns: Time = 10 * SECOND, "A poll that computes longer than this never yields.";
    never_yields_pieces: Count = 10, "A poll that computes in at least so many pieces, and gives no turn between them, never yields.";
    starvation_ns: Time = 100 * MILLISECOND, "A task that is ready this long while one poll that never yields goes on starves.";
    busy_yield_turns: Count = 100, "A task that gives its turn away so many times in a row, having done nothing, spins.";
    busy_yield_poll_ns: Time = MILLISECOND / 10, "A poll longer than this did something; a shorter one only looked.";
    leak_tasks: Count = 20, "So many tasks of one place, of which next to none ever ends, are a leak.";
    leak_ended_percent: Percent = 10, "A place of which at least this share of tasks ends does not leak.";
    thundering_herd_tasks: Count = 5, "So many tasks woken at once for what few of them can have are a herd.";
    thundering_herd_percent: Percent = 50, "Where more than this share of the woken goes on, the wakes were not in vain.";
    convoy_tasks: Count = 3, "A convoy is at least so many tasks in one lock's queue.";
    convoy_turns: Count = 10, "A lock that is handed on so many times while its queue never drains has a convoy.";
    back_pressure_percent: Percent = 50, "A sender that waits for room more than this share of its time is under back-pressure.";
    back_pressure_sends: Count = 5, "Fewer sends that had to wait are no back-pressure.";
    interval_drift_percent: Percent = 100, "An interval whose ticks end up later than this share of its period drifts.";
    interval_drift_ticks: Count = 5, "Fewer ticks tell nothing of an interval.";
    overlapping_work_ns: Time = 0, "An actor whose own work overlaps for longer than this is in several places at once.";
    large_future_bytes: Size = 4 << 10, "A task whose future has at least so much memory has a large one.";
    lost_wake_ns: Time = 0, "A wait for a signal that had been given to nobody, when it lasted longer than this, is a lost wake.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_s_unit_is_what_it_measures() {
        for threshold in Thresholds::ALL {
            assert_eq!(threshold.field.ends_with("_ns"), threshold.measure == Measure::Time, "{}", threshold.field);
            assert_eq!(
                threshold.field.ends_with("_percent"),
                threshold.measure == Measure::Percent,
                "{}",
                threshold.field
            );
            assert_eq!(threshold.field.ends_with("_bytes"), threshold.measure == Measure::Size, "{}", threshold.field);
            let mut changed = Thresholds::default();
            threshold.set(&mut changed, 77);
            assert_eq!(threshold.get(&changed), 77);
        }
    }
}
