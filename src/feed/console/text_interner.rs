//! Interns strings of the wire, truncated to a limit.

use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::sanitize::truncate;

/// Longest name of a task, resource or attribute, in bytes.
pub const NAME_BYTES_MAX: usize = 256;

/// Longest file path, in bytes.
pub const FILE_BYTES_MAX: usize = 1_024;

/// Strings that are interned; further ones are allocated each time.
const TEXTS_MAX: usize = 1 << 14;

/// Interned strings.
#[derive(Debug, Default)]
pub struct TextInterner(FxHashSet<Arc<str>>);

impl TextInterner {
    /// Interns `text`, truncated to `bytes_max`.
    pub fn intern(&mut self, text: &str, bytes_max: usize) -> Arc<str> {
        if text.len() > bytes_max {
            let truncated: Arc<str> = truncate(text, bytes_max).into();
            return self.intern_whole(&truncated);
        }
        self.intern_whole(text)
    }

    fn intern_whole(&mut self, text: &str) -> Arc<str> {
        if let Some(interned) = self.0.get(text) {
            return Arc::clone(interned);
        }
        let text: Arc<str> = text.into();
        if self.0.len() < TEXTS_MAX {
            self.0.insert(Arc::clone(&text));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interns_truncated_text() {
        let mut interner = TextInterner::default();
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        let (first, second) = (interner.intern(&long, NAME_BYTES_MAX), interner.intern(&long, NAME_BYTES_MAX));
        assert!(Arc::ptr_eq(&first, &second) && first.len() <= NAME_BYTES_MAX);
    }
}
