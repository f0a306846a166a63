//! Formatting of times and durations, shared by all panes and, for durations, with the reports.

use crate::trace::Nanos;

const US: u64 = 1_000;
const MS: u64 = 1_000_000;
const S: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * S;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Formats a duration as the reports do: `10 ms`, `3.655 s`, `1 h 55 s`.
pub use crate::insight::units::human_ns as duration;

/// Formats a duration in at most six columns (below 100,000 days): `172ms`, `1.78s`, `1h05m`.
pub fn compact(ns: Nanos) -> String {
    let three_digits = |unit: u64, name: &str| {
        let whole = ns / unit;
        let hundredths = ns % unit / (unit / 100).max(1);
        match whole {
            _ if unit == 1 => format!("{ns}{name}"),
            0..10 => format!("{whole}.{hundredths:02}{name}"),
            10..100 => format!("{whole}.{}{name}", hundredths / 10),
            _ => format!("{whole}{name}"),
        }
    };
    match ns {
        0 => "0s".to_owned(),
        _ if ns < US => three_digits(1, "ns"),
        _ if ns < MS => three_digits(US, "µs"),
        _ if ns < S => three_digits(MS, "ms"),
        _ if ns < MINUTE => three_digits(S, "s"),
        _ if ns < HOUR => format!("{}m{:02}s", ns / MINUTE, ns % MINUTE / S),
        _ if ns < DAY => format!("{}h{:02}m", ns / HOUR, ns % HOUR / MINUTE),
        _ if ns < 100 * DAY => format!("{}d{:02}h", ns / DAY, ns % DAY / HOUR),
        _ => format!("{}d", ns / DAY),
    }
}

/// Formats a point of loop time, with a stable width while time advances.
pub fn instant(ns: Nanos) -> String {
    match ns {
        0 => "0 s".to_owned(),
        _ if ns < MS => format!("{}.{:03} µs", ns / US, ns % US),
        _ if ns < S => format!("{}.{:03} ms", ns / MS, ns % MS / US),
        _ if ns < MINUTE => format!("{}.{:03} s", ns / S, ns % S / MS),
        _ => whole_units(ns),
    }
}

/// Formats an axis label for ticks `step` apart, with as many digits as distinguish two ticks.
pub fn tick(ns: Nanos, step: Nanos) -> String {
    if ns == 0 {
        return "0".to_owned();
    }
    match step {
        DAY.. => return format!("{}d", ns / DAY),
        // From one day on, `whole_units` only has minutes.
        S..MINUTE if ns >= DAY => return format!("{} {:02}s", whole_units(ns), ns % MINUTE / S),
        S.. if ns >= MINUTE => return whole_units(ns),
        _ => {}
    }
    let (unit, name) = if ns >= S {
        (S, "s")
    } else if ns >= MS {
        (MS, "ms")
    } else if ns >= US {
        (US, "µs")
    } else {
        (1, "ns")
    };
    let mut digits = 0;
    let mut digit = unit;
    while digit > 1 && digit > step {
        digit /= 10;
        digits += 1;
    }
    // Integers only: a float would lose the nanoseconds of a long run.
    let fraction = format!("{:0width$}", ns % unit, width = unit.ilog10() as usize);
    match digits {
        0 => format!("{} {name}", ns / unit),
        _ => format!("{}.{} {name}", ns / unit, &fraction[..digits]),
    }
}

fn whole_units(ns: Nanos) -> String {
    let (days, hours, minutes, seconds) = (ns / DAY, ns % DAY / HOUR, ns % HOUR / MINUTE, ns % MINUTE / S);
    match ns {
        _ if ns >= DAY => format!("{days}d {hours:02}h {minutes:02}m"),
        _ if ns >= HOUR => format!("{hours}h {minutes:02}m {seconds:02}s"),
        _ => format!("{minutes}m {seconds:02}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_instants() {
        let cases = [
            (0, "0 s"),
            (1_500, "1.500 µs"),
            (2_340 * MS, "2.340 s"),
            (90 * S, "1m 30s"),
            (3_655 * S, "1h 00m 55s"),
            (2 * DAY + 3 * HOUR, "2d 03h 00m"),
        ];
        for (ns, text) in cases {
            assert_eq!(instant(ns), text);
        }
    }

    #[test]
    fn compact_durations_fit_six_columns() {
        let cases = [
            (0, "0s"),
            (250, "250ns"),
            (1_500, "1.50µs"),
            (172_089_000, "172ms"),
            (16_904_000, "16.9ms"),
            (3_655 * MS, "3.65s"),
            (3_655 * S, "1h00m"),
            (90 * S, "1m30s"),
            (2 * DAY + 3 * HOUR, "2d03h"),
            (Nanos::MAX, "213503d"),
        ];
        for (ns, text) in cases {
            assert_eq!(compact(ns), text);
            assert!(text.chars().count() <= 6 || ns == Nanos::MAX);
        }
    }

    #[test]
    fn ticks_have_enough_digits_for_their_step() {
        assert_eq!(tick(3 * S, S), "3 s");
        assert_eq!(tick(3 * S + 500 * MS, 500 * MS), "3.5 s");
        assert_eq!(tick(3 * S + 20, 10), "3.00000002 s");
        assert_eq!(tick(90 * S, 30 * S), "1m 30s");
        assert_eq!(tick(2 * HOUR, HOUR), "2h 00m 00s");
        assert_eq!(tick(20 * US, 5 * US), "20 µs");
    }
}
