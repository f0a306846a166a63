//! Parses durations in text form: `55s`, `1.5s`, `1h 30m`, or a plain number of seconds.

use std::time::Duration;

/// The longest accepted duration: 100 years. In nanoseconds it fits into a `u64` with room to spare.
pub const DURATION_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 3_600);

/// Parses a duration.
///
/// # Errors
/// Returns a message for the user that shows the accepted formats.
pub fn parse(text: &str) -> Result<Duration, String> {
    let trimmed = text.trim();
    if let Ok(seconds) = trimmed.parse::<f64>() {
        return from_seconds(seconds);
    }
    let refuse = || format!("`{text}` is not a duration: write it like 55s, 10ms, 1.5s, 2h or 1h 30m");
    let mut rest = trimmed;
    let mut seconds = 0.0;
    if rest.is_empty() {
        return Err(refuse());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(refuse)?;
        let amount: f64 = rest[..digits].parse().map_err(|_| refuse())?;
        rest = rest[digits..].trim_start();
        let letters = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
        seconds += amount * unit_seconds(&rest[..letters]).ok_or_else(refuse)?;
        rest = rest[letters..].trim_start();
    }
    from_seconds(seconds)
}

/// Converts seconds to a duration, rounded to the nearest nanosecond.
///
/// # Errors
/// Returns a message for the user if the number is negative, not finite, or above [`DURATION_MAX`].
pub fn from_seconds(seconds: f64) -> Result<Duration, String> {
    if !seconds.is_finite() {
        return Err(format!("{seconds} is not a duration: give a number of seconds"));
    }
    if seconds < 0.0 {
        return Err(format!("{seconds} s is negative: a duration is 0 or more"));
    }
    if seconds > DURATION_MAX.as_secs_f64() {
        return Err(format!("{seconds} s is too long: the longest duration is 100 years"));
    }
    // Decimal fractions of a second are not exact in binary, so round to the nearest nanosecond.
    let whole = seconds.trunc();
    let nanos = ((seconds - whole) * 1e9).round() as u64;
    Ok(Duration::from_secs(whole as u64) + Duration::from_nanos(nanos))
}

fn unit_seconds(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1e-9,
        "us" | "µs" | "μs" => 1e-6,
        "ms" => 1e-3,
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hour" | "hours" => 3_600.0,
        "d" | "day" | "days" => 86_400.0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_common_formats() {
        for (text, nanos) in [
            ("55s", 55_000_000_000),
            ("10ms", 10_000_000),
            ("1.5s", 1_500_000_000),
            ("2h", 7_200_000_000_000),
            ("1h 30m", 5_400_000_000_000),
            ("1h30m", 5_400_000_000_000),
            (" 3 s ", 3_000_000_000),
            ("0.1", 100_000_000),
            ("7", 7_000_000_000),
            ("0", 0),
            ("250us", 250_000),
        ] {
            assert_eq!(parse(text).map(|d| d.as_nanos()), Ok(nanos), "{text}");
        }
    }

    #[test]
    fn rejects_invalid_durations() {
        for text in ["", "soon", "5 parsecs", "s", "1h 30", "-1", "inf", "NaN", "1e30", "1..2s"] {
            let refusal = parse(text).expect_err(text);
            assert!(refusal.contains("duration"), "{text}: {refusal}");
        }
    }
}
