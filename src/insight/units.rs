//! Formatting of numbers with units: `12.5 ms`, `1 h 55 s`, `12,345`, `37.5 %`.
//!
//! ```
//! use loopscope::insight::units::{human_bytes, human_ns, human_share, pluralize};
//!
//! assert_eq!(human_ns(12_500_000), "12.5 ms");
//! assert_eq!(human_bytes(1_536), "1.5 KiB");
//! assert_eq!(human_share(0.99999), ">99.9 %");
//! assert_eq!(pluralize(12_345, "poll"), "12,345 polls");
//! ```

/// Formats a duration in the largest fitting units: at most three decimals below a minute, whole seconds from an hour.
pub fn human_ns(ns: u64) -> String {
    const SECOND: u64 = 1_000_000_000;
    const MINUTE: u64 = 60 * SECOND;
    const HOUR: u64 = 60 * MINUTE;
    match ns {
        0 => "0 s".to_owned(),
        1..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{} µs", thousandths(ns)),
        1_000_000..SECOND => format!("{} ms", thousandths(ns / 1_000)),
        SECOND..MINUTE => format!("{} s", thousandths(ns / 1_000_000)),
        MINUTE..HOUR => join_parts(&[(ns / MINUTE, "min")], ns % MINUTE / 1_000_000),
        _ => join_parts(&[(ns / HOUR, "h"), (ns % HOUR / MINUTE, "min")], ns % MINUTE / SECOND * 1_000),
    }
}

/// Joins the parts that are not zero; `seconds_thousandths` follows the larger units.
fn join_parts(larger: &[(u64, &str)], seconds_thousandths: u64) -> String {
    let mut parts: Vec<String> = larger
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{} {unit}", human_number(*count)))
        .collect();
    if seconds_thousandths > 0 {
        parts.push(format!("{} s", thousandths(seconds_thousandths)));
    }
    parts.join(" ")
}

/// Formats a number of thousandths as a decimal without trailing zeros. Truncated: `999.9996` must not become `1000`.
fn thousandths(count: u64) -> String {
    let (whole, rest) = (count / 1_000, count % 1_000);
    if rest == 0 {
        return whole.to_string();
    }
    format!("{whole}.{rest:03}").trim_end_matches('0').to_owned()
}

/// Formats a number with commas: `1,234,567`.
pub fn human_number(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Formats a size: `512 B`, `16 KiB`, `1.5 MiB`. At most one decimal, truncated; none if it is 0.
pub fn human_bytes(bytes: u64) -> String {
    let (unit, shift) = match bytes {
        0..1_024 => return format!("{bytes} B"),
        1_024..0x10_0000 => ("KiB", 10),
        0x10_0000..0x4000_0000 => ("MiB", 20),
        _ => ("GiB", 30),
    };
    let (whole, tenths) = (bytes >> shift, ((bytes & ((1 << shift) - 1)) * 10) >> shift);
    if tenths == 0 { format!("{} {unit}", human_number(whole)) } else { format!("{whole}.{tenths} {unit}") }
}

/// Formats a count with its noun, plural if needed: `1 poll`, `12,345 polls`.
pub fn pluralize(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", human_number(count), if count == 1 { "" } else { "s" })
}

/// Formats a share from 0 to 1 in percent. Only exact values become `0 %` and `100 %`.
pub fn human_share(share: f64) -> String {
    let percent = share * 100.0;
    if percent > 0.0 && percent < 0.1 {
        "<0.1 %".to_owned()
    } else if (99.95..100.0).contains(&percent) {
        ">99.9 %".to_owned()
    } else if percent == percent.trunc() {
        format!("{percent:.0} %")
    } else {
        format!("{percent:.1} %")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_durations() {
        let cases = [
            (0, "0 s"),
            (850, "850 ns"),
            (12_340, "12.34 µs"),
            (999_999_999, "999.999 ms"),
            (1_000_000_000, "1 s"),
            (1_500_000_000, "1.5 s"),
            (90_500_000_000, "1 min 30.5 s"),
            (3_655_000_000_000, "1 h 55 s"),
            (43_200_000_000_000, "12 h"),
        ];
        for (ns, text) in cases {
            assert_eq!(human_ns(ns), text);
        }
        assert_eq!(human_ns(u64::MAX), "5,124,095 h 34 min 33 s");
    }

    #[test]
    fn formats_bytes() {
        for (bytes, text) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1 KiB"),
            (20_000, "19.5 KiB"),
            (1_048_575, "1023.9 KiB"),
            (64 << 20, "64 MiB"),
            (5 << 40, "5,120 GiB"),
        ] {
            assert_eq!(human_bytes(bytes), text);
        }
    }

    #[test]
    fn shares_never_round_to_0_or_100() {
        assert_eq!(human_share(0.0), "0 %");
        assert_eq!(human_share(0.000_1), "<0.1 %");
        assert_eq!(human_share(0.375), "37.5 %");
        assert_eq!(human_share(0.999_99), ">99.9 %");
        assert_eq!(human_share(1.0), "100 %");
        assert_eq!(human_number(1_234_567), "1,234,567");
    }
}
