//! Text from outside, made safe to show, and text cut and wrapped to the columns it really takes.

use std::borrow::Cow;

use unicode_width::UnicodeWidthChar;

use crate::plain::plain_cow;
use crate::trace::Location;

/// `text` with everything replaced that could do something to the terminal or to the text around it. Every name,
/// output, error and script goes through here.
pub fn clean(text: &str) -> Cow<'_, str> {
    plain_cow(text)
}

fn columns(char: char) -> usize {
    char.width().unwrap_or(0)
}

/// Columns that `text` takes.
pub fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// `text`, cleaned, in at most `width` columns; `…` at its end says that something is missing.
pub fn cut(text: &str, width: usize) -> String {
    let text = clean(text);
    if self::width(&text) <= width {
        return text.into_owned();
    }
    let mut kept = String::new();
    let mut used = 0;
    for char in text.chars() {
        if used + columns(char) + 1 > width {
            break;
        }
        used += columns(char);
        kept.push(char);
    }
    if width > 0 {
        kept.push('…');
    }
    kept
}

/// [`cut`], filled up with spaces to exactly `width` columns.
pub fn fit(text: &str, width: usize) -> String {
    let mut text = cut(text, width);
    let missing = width.saturating_sub(self::width(&text));
    text.extend(std::iter::repeat_n(' ', missing));
    text
}

/// `text`, cleaned, in lines of at most `width` columns, broken at spaces where there are any. Its own line breaks stay.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let clean = clean(paragraph);
        let mut line = String::new();
        for word in clean.split_inclusive(' ') {
            if self::width(&line) + self::width(word.trim_end()) > width && !line.is_empty() {
                lines.push(std::mem::take(&mut line).trim_end().to_owned());
            }
            for char in word.chars() {
                if self::width(&line) + columns(char) > width && !line.is_empty() {
                    if char == ' ' {
                        continue;
                    }
                    lines.push(std::mem::take(&mut line));
                }
                line.push(char);
            }
        }
        lines.push(line.trim_end().to_owned());
    }
    lines
}

/// A location by its file's name: the folders are in the exports.
pub fn short_location(location: &Location) -> String {
    let name = location.file.rsplit(['/', '\\']).next().unwrap_or(&location.file);
    format!("{name}:{}", location.line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_gets_through() {
        let hostile = "a\u{1b}[2Jb\u{9b}c\u{202e}d\u{7f}\r\n\u{2066}";
        assert!(!clean(hostile).contains(crate::plain::is_unsafe));
        assert!(clean(hostile).starts_with('a'));
        assert!(matches!(clean("naïve 漢字"), Cow::Borrowed(_)));
    }

    #[test]
    fn cutting_counts_columns_not_characters() {
        assert_eq!(cut("漢字漢字", 5), "漢字…");
        assert_eq!(fit("漢字漢字", 6), "漢字… ");
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
        assert_eq!(cut("abcd", 0), "");
    }

    #[test]
    fn wrapping_loses_no_word_and_no_line() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrap("a\n\nb", 9), ["a", "", "b"]);
        for width in 0..20 {
            let text = "the loop's 漢字 a-very-long-word-that-breaks and more";
            let all: String = wrap(text, width).concat().split_whitespace().collect();
            assert_eq!(all, text.split_whitespace().collect::<String>(), "{width}");
        }
    }
}
