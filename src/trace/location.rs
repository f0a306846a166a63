//! Locations in the source code of the traced program.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A line of source code.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Location {
    /// Path of the file, as the program reports it.
    pub file: Arc<str>,
    /// Line number, from 1.
    pub line: u32,
}

impl Location {
    /// Formats it with the file's name only: `app.rs:12`.
    pub fn short(&self) -> String {
        let name = self.file.rsplit(['/', '\\']).next().unwrap_or(&self.file);
        format!("{name}:{}", self.line)
    }
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}
