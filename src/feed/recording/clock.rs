//! Converts a program's timestamps to loop time: nanoseconds since an origin, with stops cut out.

use crate::trace::Nanos;

/// An interval in which the program was stopped, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug)]
struct ClockStop {
    from: u64,
    /// [`u64::MAX`] while it is stopped.
    to: u64,
    /// Total length of all earlier stops.
    before: u64,
}

/// Converts timestamps of one program to loop time.
#[derive(Clone, Debug, Default)]
pub struct RecordingClock {
    /// Origin of loop time, in nanoseconds since 1970; the first timestamp if `None`.
    origin: Option<u64>,
    stops: Vec<ClockStop>,
}

impl RecordingClock {
    /// Creates a clock whose origin is the first timestamp.
    pub fn from_first() -> Self {
        Self::default()
    }

    /// Creates a clock with this origin, in nanoseconds since 1970.
    pub fn from_epoch_ns(origin: u64) -> Self {
        Self { origin: Some(origin), stops: Vec::new() }
    }

    /// Begins a stop at `from`.
    pub fn stop(&mut self, from: u64) {
        if self.stops.last().is_none_or(|last| last.to != u64::MAX) {
            let before = self.stops.last().map_or(0, |last| last.before + (last.to - last.from));
            self.stops.push(ClockStop { from, to: u64::MAX, before });
        }
    }

    /// Ends the current stop at `to`.
    pub fn resume(&mut self, to: u64) {
        if let Some(last) = self.stops.last_mut().filter(|last| last.to == u64::MAX) {
            last.to = to.max(last.from);
        }
    }

    /// Returns loop time at `epoch_ns`; 0 before the origin. Sets the origin if there is none.
    pub fn loop_time(&mut self, epoch_ns: u64) -> Nanos {
        self.origin.get_or_insert(epoch_ns);
        self.loop_time_at(epoch_ns)
    }

    /// Returns loop time at `epoch_ns` without setting the origin.
    pub fn loop_time_at(&self, epoch_ns: u64) -> Nanos {
        let origin = self.origin.unwrap_or(epoch_ns);
        let after = self.stops.partition_point(|stop| stop.from <= epoch_ns);
        let stop = after.checked_sub(1).and_then(|index| self.stops.get(index));
        let cut = stop.map_or(0, |stop| stop.before + (epoch_ns.min(stop.to) - stop.from));
        (epoch_ns - cut).saturating_sub(origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stops_take_no_loop_time() {
        let mut clock = RecordingClock::from_epoch_ns(1_000);
        assert_eq!([clock.loop_time(900), clock.loop_time(1_100)], [0, 100]);
        clock.stop(1_200);
        assert_eq!(clock.loop_time(5_000), 200, "it stands");
        clock.resume(2_200);
        assert_eq!([1_100, 1_200, 1_700, 2_200, 2_300].map(|at| clock.loop_time(at)), [100, 200, 200, 200, 300]);
        clock.stop(2_300);
        clock.resume(2_400);
        assert_eq!(clock.loop_time(2_500), 400);
        let mut clock = RecordingClock::from_first();
        assert_eq!([clock.loop_time(70), clock.loop_time(75)], [0, 5]);
    }
}
