//! What a workload says of itself before anything runs: plain data that the picker, the forms and the reports read.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::control::ClockKind;

/// One workload, read but not run.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// What a person types to run it: `chess-async`.
    pub name: String,
    pub title: String,
    /// What it teaches, in a sentence or two.
    pub lesson: String,
    pub clock: ClockKind,
    /// In the order in which the script names them, sorted by name.
    pub params: Vec<Param>,
    /// How its file is called in locations and errors: `workloads/chess-async.lua`.
    pub file: String,
    /// The file on disk; `None` for what is built in.
    pub path: Option<PathBuf>,
    /// The script's text, for the preview and for the line that a task awaits on.
    pub text: String,
}

/// One parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    pub name: String,
    pub help: String,
    pub kind: ParamKind,
    pub default: ParamValue,
}

/// What a parameter may be.
#[derive(Clone, Debug, PartialEq)]
pub enum ParamKind {
    /// `whole` where a fraction makes no sense (the default and both bounds are whole).
    Number {
        min: f64,
        max: f64,
        whole: bool,
    },
    Duration {
        min: Duration,
        max: Duration,
    },
    Boolean,
    Choice(Vec<String>),
    /// At most this many characters.
    Text {
        max_chars: usize,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub enum ParamValue {
    Number(f64),
    Duration(Duration),
    Boolean(bool),
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
