//! A workload's manifest: the plain data that the picker, the parameter forms and the reports read.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::control::ClockKind;

/// One workload whose script was loaded but not run.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The name that runs it: `loopscope run chess-async`.
    pub name: String,
    /// The title in the list of workloads.
    pub title: String,
    /// What it teaches, in a sentence or two.
    pub lesson: String,
    /// The clock that it runs on unless the user chooses another.
    pub clock: ClockKind,
    /// The parameters, sorted by name.
    pub params: Vec<Param>,
    /// What a run with the default parameters must produce.
    pub expects: Expectations,
    /// The file as locations and errors name it: `workloads/chess-async.lua`.
    pub file: String,
    /// The path of the file on disk, or `None` for a built-in workload.
    pub path: Option<PathBuf>,
    /// The script's text, for the preview and for the source line of an await.
    pub text: String,
}

/// What a run of a workload must produce: exactly these findings and this outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expectations {
    /// The names of the lints that must report a finding.
    pub findings: Vec<String>,
    /// Whether the run must fail, for example with a deadlock.
    pub must_fail: bool,
}

/// One parameter of a workload.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// The name, as in `--set NAME=VALUE`.
    pub name: String,
    /// The help text. It may be empty.
    pub help: String,
    /// The type and bounds of its values.
    pub kind: ParamKind,
    /// The value of a run that does not set it.
    pub default: ParamValue,
}

/// The type and bounds of a parameter. Bounds are inclusive.
#[derive(Clone, Debug, PartialEq)]
pub enum ParamKind {
    /// A number.
    Number {
        /// The smallest value.
        min: f64,
        /// The largest value.
        max: f64,
        /// Whether only whole numbers are valid: the default and both bounds are whole.
        whole: bool,
    },
    /// A duration.
    Duration {
        /// The shortest value.
        min: Duration,
        /// The longest value.
        max: Duration,
    },
    /// `true` or `false`.
    Boolean,
    /// One of these texts.
    Choice(Vec<String>),
    /// Any text.
    Text {
        /// The maximum number of characters.
        max_chars: usize,
    },
}

/// The value of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum ParamValue {
    /// A value of [`ParamKind::Number`].
    Number(f64),
    /// A value of [`ParamKind::Duration`].
    Duration(Duration),
    /// A value of [`ParamKind::Boolean`].
    Boolean(bool),
    /// A value of [`ParamKind::Choice`] or [`ParamKind::Text`].
    Text(String),
}

impl fmt::Display for ParamValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Duration(duration) => humantime::format_duration(*duration).fmt(f),
            Self::Boolean(yes) => yes.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}
