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

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}
