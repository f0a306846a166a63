//! One duration syntax: every place that takes a duration accepts and refuses the same texts, with the same values.

use std::path::Path;

use loopscope::control::{Breakpoint, TaskPattern};
use loopscope::internals::app::{Action, parse_command};
use loopscope::internals::cli::Assertion;
use loopscope::workload::manifest::ParamValue;
use loopscope::workload::{params, script};

use crate::cli::loopscope;

/// Texts that are durations, and their nanoseconds.
const ACCEPTED: [(&str, u64); 24] = [
    ("0", 0),
    ("7", 7_000_000_000),
    ("0.5", 500_000_000),
    ("1e2", 100_000_000_000),
    ("9007199254740993ns", 9_007_199_254_740_993),
    ("55s", 55_000_000_000),
    ("1.5s", 1_500_000_000),
    ("10ms", 10_000_000),
    ("250us", 250_000),
    ("250µs", 250_000),
    ("3 nsec", 3),
    ("5 millis", 5_000_000),
    ("1h30m", 5_400_000_000_000),
    ("1h 30m", 5_400_000_000_000),
    ("2 min 3 secs", 123_000_000_000),
    ("0.25 hours", 900_000_000_000),
    ("3 hrs", 10_800_000_000_000),
    ("1 day", 86_400_000_000_000),
    ("2 weeks", 1_209_600_000_000_000),
    ("2wks", 1_209_600_000_000_000),
    ("1M", 2_630_016_000_000_000),
    ("2 months", 5_260_032_000_000_000),
    ("1yr", 31_557_600_000_000_000),
    ("1year 1month 1day 1h 1m 1s 1ms 1us 1ns", 34_277_677_001_001_001),
];

const REFUSED: [&str; 14] = [
    "",
    "soon",
    "s",
    "5 parsecs",
    "5 S",
    "1h 30",
    "1..2s",
    "1h, 30m",
    "-1",
    "-1s",
    "inf",
    "1e30",
    "101 years",
    "99999999999999999999999999999999999999999999s",
];

/// What a place says of a text: the nanoseconds, where the place shows them, or the error.
type Acceptance = Result<Option<u64>, String>;

fn in_settings_file(text: &str) -> Acceptance {
    let file = format!("[findings]\nblocked_loop = \"{text}\"\n");
    let settings =
        loopscope::internals::settings::parse(&file, Path::new("s.toml")).map_err(|error| error.to_string())?;
    Ok(settings.findings.map(|thresholds| thresholds.blocked_loop_ns))
}

/// Runs a command whose last option does not exist: the error names that one only if all before it are valid.
fn in_option(arguments: &[&str], option: &str, text: &str) -> Acceptance {
    let option = format!("{option}={text}");
    let arguments = [arguments, &[option.as_str(), "--no-such-option"]].concat();
    let error = loopscope(&arguments).stderr;
    if error.contains("--no-such-option") { Ok(None) } else { Err(error) }
}

fn in_until(text: &str) -> Acceptance {
    in_option(&["run", "countasync", "--headless"], "--until", text)
}

fn in_exec_for(text: &str) -> Acceptance {
    in_option(&["exec", "--headless"], "--for", text)
}

fn in_attach_for(text: &str) -> Acceptance {
    in_option(&["attach", "--headless"], "--for", text)
}

fn in_assertion(text: &str) -> Acceptance {
    format!("elapsed_ns <= {text}").parse::<Assertion>().map(|_| None)
}

fn in_breakpoint(text: &str) -> Acceptance {
    match format!("poll > {text}").parse()? {
        Breakpoint::LongPoll(TaskPattern::ANY, limit_ns) => Ok(Some(limit_ns)),
        other => panic!("{text}: {other:?}"),
    }
}

fn in_palette(text: &str) -> Acceptance {
    match parse_command(&format!("until {text}")) {
        Some(Ok(Action::RunUntil(at))) => Ok(Some(at)),
        Some(Err(error)) => Err(error),
        None => Err("no duration".to_owned()),
        Some(Ok(other)) => panic!("{text}: {other:?}"),
    }
}

/// Loads a script that starts with `before` and has these parameters.
fn load(before: &str, params: &str) -> Result<loopscope::workload::manifest::Manifest, String> {
    let text = format!(
        "{before}\nreturn {{ title = \"t\", lesson = \"l\", params = {{ {params} }}, main = async(function() end) }}\n"
    );
    script::read_manifest("demo", "demo.lua", &text).map_err(|error| error.to_string())
}

fn nanos_of(value: &ParamValue) -> Option<u64> {
    match value {
        ParamValue::Duration(duration) => u64::try_from(duration.as_nanos()).ok(),
        other => panic!("{other}"),
    }
}

fn in_script_sleep(text: &str) -> Acceptance {
    load(&format!("local pause = sleep([[{text}]])"), "").map(|_| None)
}

fn in_parameter_default(text: &str) -> Acceptance {
    let manifest = load("", &format!("pause = {{ type = \"duration\", default = [[{text}]] }}"))?;
    Ok(nanos_of(&manifest.params[0].default))
}

fn in_parameter_setting(text: &str) -> Acceptance {
    let manifest = load("", "pause = { default = \"1s\" }").expect("a valid script");
    let values = params::resolve(&manifest, &[("pause".to_owned(), text.to_owned())]);
    values.map(|values| nanos_of(&values[0].1)).map_err(|error| error.to_string())
}

/// Parses a text at one place.
type ParseFn = fn(&str) -> Acceptance;

const PLACES: [(&str, ParseFn); 10] = [
    ("settings file", in_settings_file),
    ("run --until", in_until),
    ("exec --for", in_exec_for),
    ("attach --for", in_attach_for),
    ("assertion", in_assertion),
    ("breakpoint", in_breakpoint),
    ("palette", in_palette),
    ("script sleep", in_script_sleep),
    ("parameter default", in_parameter_default),
    ("parameter setting", in_parameter_setting),
];

#[test]
fn every_place_accepts_the_same_durations() {
    for (place, verdict) in PLACES {
        for (text, nanos) in ACCEPTED {
            let shown = verdict(text).unwrap_or_else(|error| panic!("{place} refuses `{text}`: {error}"));
            assert!(shown.is_none_or(|shown| shown == nanos), "{place}: `{text}` is {shown:?}");
        }
    }
}

#[test]
fn every_place_refuses_the_same_durations() {
    for (place, verdict) in PLACES {
        // A plain number in an assertion is a number of the report, not a number of seconds.
        for text in REFUSED.iter().filter(|text| place != "assertion" || serde_json::from_str::<f64>(text).is_err()) {
            let error = verdict(text).expect_err(&format!("{place} accepts `{text}`"));
            let explained = text.is_empty() || error.contains("duration");
            assert!(explained, "{place}: `{text}`: {error}");
        }
    }
}
