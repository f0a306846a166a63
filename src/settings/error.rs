//! What can be wrong with settings, said so that a person can mend it: which file, which line, what instead.

use std::path::{Path, PathBuf};

use crate::report::plain;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read the settings file {}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("the settings file {} is too large: {bytes} bytes, at most {max_bytes} make sense", path.display())]
    TooLarge { path: PathBuf, bytes: u64, max_bytes: u64 },
    #[error("{}:{line}:{column}: {message}\n  {shown}\n`loopscope settings --default` prints every setting there is", path.display())]
    Wrong {
        path: PathBuf,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
        message: String,
        /// The line itself.
        shown: String,
    },
    #[error("the environment variable {name} is wrong: {message}")]
    Variable { name: &'static str, message: String },
}

impl Error {
    /// A parser's error with the place that its byte offset means.
    pub(super) fn in_file(path: &Path, text: &str, error: &toml::de::Error) -> Self {
        let offset = error.span().map_or(0, |span| span.start.min(text.len()));
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        Self::Wrong {
            path: path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            message: error.message().lines().map(plain).collect::<Vec<_>>().join(", "),
            shown: plain(text[line_start..].lines().next().unwrap_or_default()),
        }
    }

    pub(super) fn variable(name: &'static str, error: &impl ToString) -> Self {
        Self::Variable { name, message: error.to_string() }
    }
}
