//! The duration syntax of settings, options, assertions, breakpoints and scripts: `55s`, `1.5s`, `1h 30m`, `2 weeks`, or
//! a plain number of seconds.

use std::time::Duration;

use crate::trace::Nanos;

/// The longest accepted duration: 100 years of 365 days. In nanoseconds it fits into [`Nanos`] with room to spare.
pub const DURATION_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 3_600);

const SECOND_NS: u64 = 1_000_000_000;

/// Number of digits after the decimal point that count. 20 digits of the longest unit are a fraction of a nanosecond.
const FRACTION_DIGITS_MAX: usize = 20;

/// Parses a duration: a plain number of seconds, or numbers with units, such as `1h 30m`.
///
/// The units are those of humantime: a month has 30.44 days and a year 365.25 days. Numbers may have decimals. The
/// result is exact; a fraction of a nanosecond is rounded to the nearest nanosecond.
///
/// # Errors
/// Returns a message for the user if the text is not a duration, is negative, or exceeds [`DURATION_MAX`].
///
/// ```
/// use std::time::Duration;
/// use loopscope::control::duration;
///
/// assert_eq!(duration::parse("1h 30m"), Ok(Duration::from_secs(5_400)));
/// assert_eq!(duration::parse("0.5"), Ok(Duration::from_millis(500)));
/// assert!(duration::parse("soon").is_err());
/// ```
pub fn parse(text: &str) -> Result<Duration, String> {
    let invalid = || format!("`{text}` is not a duration: write it like 55s, 10ms, 1.5s, 2h or 1h 30m");
    let mut rest = text.trim();
    let is_decimal = rest.chars().all(is_decimal_char);
    // A number with a sign or an exponent.
    if let (false, Ok(seconds)) = (is_decimal, rest.parse::<f64>())
        && seconds.is_finite()
    {
        return from_seconds(seconds);
    }
    let mut total_ns: u128 = 0;
    loop {
        let (amount, after) = split_while(rest, is_decimal_char);
        let (unit, after) = split_while(after.trim_start(), char::is_alphabetic);
        let unit_ns = if is_decimal { SECOND_NS } else { unit_nanos(unit).ok_or_else(invalid)? };
        total_ns = total_ns.saturating_add(amount_nanos(amount, unit_ns).ok_or_else(invalid)?);
        rest = after.trim_start();
        if rest.is_empty() {
            break;
        }
    }
    if total_ns > DURATION_MAX.as_nanos() {
        return Err(format!("`{text}` is too long: the longest duration is 100 years"));
    }
    let second_ns = u128::from(SECOND_NS);
    Ok(Duration::new((total_ns / second_ns) as u64, (total_ns % second_ns) as u32))
}

/// Parses a duration as nanoseconds; see [`parse`].
///
/// # Errors
/// Fails for the same reasons as [`parse`].
pub fn parse_nanos(text: &str) -> Result<Nanos, String> {
    parse(text).map(to_nanos)
}

/// Converts seconds to a duration, rounded to the nearest nanosecond.
///
/// # Errors
/// Returns a message for the user if the number is negative, not finite, or above [`DURATION_MAX`].
pub fn from_seconds(seconds: f64) -> Result<Duration, String> {
    if !seconds.is_finite() {
        return Err(format!("{seconds} is not a duration; help: use a number of seconds"));
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

/// Converts a duration of at most [`DURATION_MAX`] to nanoseconds. A longer one becomes `Nanos::MAX` at most.
pub fn to_nanos(duration: Duration) -> Nanos {
    Nanos::try_from(duration.as_nanos()).unwrap_or(Nanos::MAX)
}

fn is_decimal_char(c: char) -> bool {
    c.is_ascii_digit() || c == '.'
}

/// Splits the longest beginning off whose characters all match.
fn split_while(text: &str, matches: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !matches(c)).unwrap_or(text.len()))
}

/// Returns the nanoseconds of `amount` units, saturating, or `None` if `amount` is not a decimal number.
fn amount_nanos(amount: &str, unit_ns: u64) -> Option<u128> {
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, ""));
    if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let unit_ns = u128::from(unit_ns);
    // Only digits are left, so a number that does not parse is too large.
    let whole_ns = if whole.is_empty() { 0 } else { whole.parse().unwrap_or(u128::MAX).saturating_mul(unit_ns) };
    let fraction = &fraction[..fraction.len().min(FRACTION_DIGITS_MAX)];
    let numerator: u128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let denominator = 10_u128.pow(fraction.len() as u32);
    // Below 10^20 times 10^17, which is far below the limit of 128 bits.
    let fraction_ns = (2 * numerator * unit_ns + denominator) / (2 * denominator);
    Some(whole_ns.saturating_add(fraction_ns))
}

fn unit_nanos(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" | "nsec" | "nanos" => 1,
        // The micro sign and the Greek letter mu.
        "us" | "usec" | "µs" | "μs" => 1_000,
        "ms" | "msec" | "millis" => 1_000_000,
        "s" | "sec" | "secs" | "second" | "seconds" => SECOND_NS,
        "m" | "min" | "mins" | "minute" | "minutes" => 60 * SECOND_NS,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600 * SECOND_NS,
        "d" | "day" | "days" => 86_400 * SECOND_NS,
        "w" | "wk" | "wks" | "week" | "weeks" => 7 * 86_400 * SECOND_NS,
        "M" | "month" | "months" => 2_630_016 * SECOND_NS,
        "y" | "yr" | "yrs" | "year" | "years" => 31_557_600 * SECOND_NS,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parses_exactly() {
        for (text, nanos) in [
            ("55s", 55_000_000_000),
            ("10ms", 10_000_000),
            ("1.5s", 1_500_000_000),
            ("2h", 7_200_000_000_000),
            ("1h 30m", 5_400_000_000_000),
            ("1h30m", 5_400_000_000_000),
            (" 3 s ", 3_000_000_000),
            ("0.1", 100_000_000),
            (".5", 500_000_000),
            ("7", 7_000_000_000),
            ("7.", 7_000_000_000),
            ("0", 0),
            ("1e3", 1_000_000_000_000),
            ("250us", 250_000),
            ("0.4ns", 0),
            ("0.5ns", 1),
            ("0.1M", 263_001_600_000_000),
            // 2^53 + 1, which a double cannot represent.
            ("9007199254740993ns", 9_007_199_254_740_993),
            ("9007199.254740993", 9_007_199_254_740_993),
            ("0.00000000000000000000000000001y", 0),
        ] {
            assert_eq!(parse(text).map(|duration| duration.as_nanos()), Ok(nanos), "{text}");
        }
        assert_eq!(parse("100000000000 ms"), Ok(Duration::from_secs(100_000_000)));
        assert_eq!(parse("36500 days"), Ok(DURATION_MAX));
    }

    #[test]
    fn parses_every_unit_like_humantime() {
        let units = "ns nsec nanos us usec µs ms msec millis s sec secs second seconds m min mins minute minutes h hr hrs \
                     hour hours d day days w wk wks week weeks M month months y yr yrs year years";
        for unit in units.split(' ') {
            for text in [format!("3{unit}"), format!("3 {unit}"), format!("1s 3 {unit}")] {
                assert_eq!(parse(&text), Ok(humantime::parse_duration(&text).expect("a unit of humantime")), "{text}");
            }
        }
    }

    #[test]
    fn rejects_invalid_durations() {
        for text in [
            "",
            " ",
            ".",
            "soon",
            "5 parsecs",
            "5S",
            "s",
            "1h 30",
            "30 1h",
            "1h, 30m",
            "-1",
            "-1s",
            "inf",
            "NaN",
            "1e30",
            "1e5s",
            "1..2s",
            "1.2.3",
            "101y",
            "36500d 1ns",
            "99999999999999999999999999999999999999999999s",
            "١s",
        ] {
            let refusal = parse(text).expect_err(text);
            assert!(refusal.contains("duration"), "{text}: {refusal}");
        }
    }

    proptest! {
        #[test]
        fn parses_what_humantime_formats(nanos in 0..=DURATION_MAX.as_nanos() as u64) {
            let duration = Duration::from_nanos(nanos);
            prop_assert_eq!(parse(&humantime::format_duration(duration).to_string()), Ok(duration));
        }

        #[test]
        fn plain_numbers_are_exact(seconds in 0..DURATION_MAX.as_secs(), nanos in 0..1_000_000_000_u32) {
            prop_assert_eq!(parse(&format!("{seconds}.{nanos:09}")), Ok(Duration::new(seconds, nanos)));
        }

        #[test]
        fn takes_any_text(text in "\\PC*") {
            let _ = parse(&text);
        }
    }
}
