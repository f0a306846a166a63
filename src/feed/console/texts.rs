//! Text from the wire: as long as its limit, and kept once however often it is told.

use std::sync::Arc;

use rustc_hash::FxHashSet;

/// Bytes of a name: a task's, a resource's, an attribute's.
pub const NAME_BYTES_MAX: usize = 256;

/// Bytes of a file's path.
pub const FILE_BYTES_MAX: usize = 1_024;

/// Different texts that are kept once; what is new after that is kept for each who says it.
const TEXTS_MAX: usize = 1 << 14;

/// Texts that were told so far.
#[derive(Debug, Default)]
pub struct Texts(FxHashSet<Arc<str>>);

impl Texts {
    /// `text`, cut at `bytes_max`.
    pub fn keep(&mut self, text: &str, bytes_max: usize) -> Arc<str> {
        if text.len() > bytes_max {
            let cut: Arc<str> = cut(text, bytes_max).into();
            return self.keep_whole(&cut);
        }
        self.keep_whole(text)
    }

    fn keep_whole(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return Arc::clone(known);
        }
        let text: Arc<str> = text.into();
        if self.0.len() < TEXTS_MAX {
            self.0.insert(Arc::clone(&text));
        }
        text
    }
}

/// `text` as far as it fits into `bytes_max` bytes, with `…` in place of what does not.
pub fn cut(text: &str, bytes_max: usize) -> String {
    const MARK: char = '…';
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let mut end = bytes_max.saturating_sub(MARK.len_utf8());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{MARK}", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_between_characters_and_kept_once() {
        assert_eq!((cut("abc", 3).as_str(), cut("abcd", 3).as_str()), ("abc", "…"));
        assert_eq!(cut("ääääää", 8), "ää…");
        let mut texts = Texts::default();
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        let (first, second) = (texts.keep(&long, NAME_BYTES_MAX), texts.keep(&long, NAME_BYTES_MAX));
        assert!(Arc::ptr_eq(&first, &second) && first.len() <= NAME_BYTES_MAX);
    }
}
