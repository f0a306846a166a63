//! From the stamps of somebody else's program to loop time: from where it begins, with the stops cut out.

use crate::trace::Nanos;

/// The program stood still for a while, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug)]
struct Stop {
    from: u64,
    /// [`u64::MAX`] while it still stands.
    to: u64,
    /// How long all stops before this one took together.
    before: u64,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Stamps {
    /// Where loop time begins, in nanoseconds since 1970; the first stamp where nobody says.
    origin: Option<u64>,
    stops: Vec<Stop>,
}

impl Stamps {
    /// Loop time that begins at the first stamp.
    pub fn from_first() -> Self {
        Self::default()
    }

    /// Loop time that begins here, in nanoseconds since 1970.
    pub fn from_epoch_ns(origin: u64) -> Self {
        Self { origin: Some(origin), stops: Vec::new() }
    }

    /// The program stands still from here on.
    pub fn stop(&mut self, from: u64) {
        if self.stops.last().is_none_or(|last| last.to != u64::MAX) {
            let before = self.stops.last().map_or(0, |last| last.before + (last.to - last.from));
            self.stops.push(Stop { from, to: u64::MAX, before });
        }
    }

    /// It goes on from here.
    pub fn go_on(&mut self, to: u64) {
        if let Some(last) = self.stops.last_mut().filter(|last| last.to == u64::MAX) {
            last.to = to.max(last.from);
        }
    }

    /// Loop time at `epoch_ns`; 0 for anything before its beginning.
    pub fn loop_time(&mut self, epoch_ns: u64) -> Nanos {
        self.origin.get_or_insert(epoch_ns);
        self.known_time(epoch_ns)
    }

    /// Loop time at `epoch_ns`, which does not begin there.
    pub fn known_time(&self, epoch_ns: u64) -> Nanos {
        let origin = self.origin.unwrap_or(epoch_ns);
        let after = self.stops.partition_point(|stop| stop.from <= epoch_ns);
        let stood = after.checked_sub(1).and_then(|index| self.stops.get(index));
        let cut = stood.map_or(0, |stop| stop.before + (epoch_ns.min(stop.to) - stop.from));
        (epoch_ns - cut).saturating_sub(origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_takes_no_loop_time() {
        let mut stamps = Stamps::from_epoch_ns(1_000);
        assert_eq!([stamps.loop_time(900), stamps.loop_time(1_100)], [0, 100]);
        stamps.stop(1_200);
        assert_eq!(stamps.loop_time(5_000), 200, "it stands");
        stamps.go_on(2_200);
        assert_eq!([1_100, 1_200, 1_700, 2_200, 2_300].map(|at| stamps.loop_time(at)), [100, 200, 200, 200, 300]);
        stamps.stop(2_300);
        stamps.go_on(2_400);
        assert_eq!(stamps.loop_time(2_500), 400);
        let mut stamps = Stamps::from_first();
        assert_eq!([stamps.loop_time(70), stamps.loop_time(75)], [0, 5]);
    }
}
