//! Text layout: sanitizing of untrusted text, and truncation and wrapping by display width.

use std::borrow::Cow;

use unicode_width::UnicodeWidthChar;

use crate::sanitize::{sanitize_cow, shorten_middle};
use crate::trace::Location;

/// Replaces all characters that could affect the terminal or the text around them. Every name, output line, error and
/// script passes through here.
pub fn sanitize(text: &str) -> Cow<'_, str> {
    sanitize_cow(text)
}

fn char_width(char: char) -> usize {
    char.width().unwrap_or(0)
}

/// Display width of `text`, in columns.
pub fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

/// Sanitizes `text` and truncates it to `width` columns; `…` at the end marks a truncation.
pub fn truncate(text: &str, width: usize) -> String {
    let text = sanitize(text);
    if self::width(&text) <= width {
        return text.into_owned();
    }
    let mut truncated = String::new();
    let mut used = 0;
    for char in text.chars() {
        if used + char_width(char) + 1 > width {
            break;
        }
        used += char_width(char);
        truncated.push(char);
    }
    if width > 0 {
        truncated.push('…');
    }
    truncated
}

/// Sanitizes `text` and shortens it to `width` columns. Names often differ only at their end, so `…` replaces the
/// middle.
pub fn truncate_middle(text: &str, width: usize) -> String {
    shorten_middle(&sanitize(text), width)
}

/// Shortens `text` in the middle and pads it with spaces to exactly `width` columns.
pub fn fit_middle(text: &str, width: usize) -> String {
    fit(&truncate_middle(text, width), width)
}

/// Truncates `text` and pads it with spaces to exactly `width` columns.
pub fn fit(text: &str, width: usize) -> String {
    let mut text = truncate(text, width);
    let missing = width.saturating_sub(self::width(&text));
    text.extend(std::iter::repeat_n(' ', missing));
    text
}

/// Sanitizes `text` and wraps it to `width` columns, preferably at spaces. Existing line breaks are preserved.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let paragraph = sanitize(paragraph);
        let mut line = String::new();
        for word in paragraph.split_inclusive(' ') {
            if self::width(&line) + self::width(word.trim_end()) > width && !line.is_empty() {
                lines.push(std::mem::take(&mut line).trim_end().to_owned());
            }
            for char in word.chars() {
                if self::width(&line) + char_width(char) > width && !line.is_empty() {
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

/// Formats a location with the file's name only: `app.rs:12`. Reports contain the full path.
pub fn short_location(location: &Location) -> String {
    location.short()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sanitize_removes_control_characters() {
        let hostile = "a\u{1b}[2Jb\u{9b}c\u{202e}d\u{7f}\r\n\u{2066}";
        assert!(!sanitize(hostile).contains(crate::sanitize::is_unsafe_char));
        assert!(sanitize(hostile).starts_with('a'));
        assert!(matches!(sanitize("naïve 漢字"), Cow::Borrowed(_)));
    }

    #[test]
    fn truncates_by_display_width() {
        assert_eq!(truncate("漢字漢字", 5), "漢字…");
        assert_eq!(fit("漢字漢字", 6), "漢字… ");
        assert_eq!(truncate("abc", 3), "abc");
        assert_eq!(truncate("abcd", 3), "ab…");
        assert_eq!(truncate("abcd", 0), "");
    }

    #[test]
    fn wrap_keeps_all_words_and_lines() {
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
