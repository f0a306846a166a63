//! Functions of the traced program: in a chain of awaits, or on a stack.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::location::Location;

/// One function in a chain of awaits, or on a stack.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StackFrame {
    /// Name of the function.
    pub function: Arc<str>,
    /// The line that it awaits or executes, if known.
    pub location: Option<Location>,
}

/// Formats it with the file's name only: `fetch (app.py:7)`.
impl fmt::Display for StackFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.location {
            Some(location) => write!(f, "{} ({})", self.function, location.short()),
            None => f.write_str(&self.function),
        }
    }
}

impl super::Trace {
    /// Returns the functions that await each other in the current or last wait of task `id`, the outermost first.
    pub fn await_chain(&self, id: super::TaskId) -> &[StackFrame] {
        self.history.await_chain(id)
    }
}
