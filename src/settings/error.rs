//! Errors in settings, with the file, the line and what to do.

use std::path::{Path, PathBuf};

use crate::sanitize::sanitize;

/// An error in the settings file or in an environment variable.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The settings file cannot be read.
    #[error("cannot read the settings file `{}`", path.display())]
    Unreadable {
        /// The settings file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The settings file is larger than the limit.
    #[error("the settings file `{}` has {bytes} bytes; the limit is {max_bytes}", path.display())]
    TooLarge {
        /// The settings file.
        path: PathBuf,
        /// Size of the file in bytes.
        bytes: u64,
        /// The limit in bytes.
        max_bytes: u64,
    },
    /// The settings file has a syntax error, an unknown key or an invalid value.
    #[error("{}:{line}:{column}: {message}\n  {line_text}\nhelp: `loopscope settings --default` prints every setting", path.display())]
    Invalid {
        /// The settings file.
        path: PathBuf,
        /// Line number, starting at 1.
        line: usize,
        /// Column in characters, starting at 1.
        column: usize,
        /// The cause.
        message: String,
        /// Text of the line.
        line_text: String,
    },
    /// An environment variable has an invalid value.
    #[error("invalid environment variable `{name}`: {message}")]
    InvalidVariable {
        /// Name of the variable.
        name: &'static str,
        /// The cause.
        message: String,
    },
}

impl SettingsError {
    /// Converts a parser error, with its byte offset as line and column.
    pub(super) fn from_toml(path: &Path, text: &str, error: &toml::de::Error) -> Self {
        let offset = error.span().map_or(0, |span| span.start.min(text.len()));
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        Self::Invalid {
            path: path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            message: error.message().lines().map(sanitize).collect::<Vec<_>>().join(", "),
            line_text: sanitize(text[line_start..].lines().next().unwrap_or_default()),
        }
    }

    /// Creates an error for the environment variable `name`.
    pub(super) fn variable(name: &'static str, error: &impl ToString) -> Self {
        Self::InvalidVariable { name, message: error.to_string() }
    }
}
