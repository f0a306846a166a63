//! Syntax highlighting of Lua, line by line: comments, strings and keywords. A string or comment that spans lines is
//! highlighted only in its first line.

use ratatui::text::Span;

use super::canvas::span;
use super::theme::{Role, Theme};

/// Keywords of Lua, and the functions that workloads use like keywords.
const KEYWORDS: [&str; 25] = [
    "and",
    "break",
    "do",
    "else",
    "elseif",
    "end",
    "false",
    "for",
    "function",
    "goto",
    "if",
    "in",
    "local",
    "nil",
    "not",
    "or",
    "repeat",
    "return",
    "then",
    "true",
    "until",
    "while",
    "async",
    "await",
    "create_task",
];

/// Splits a line into styled spans.
pub fn highlight(theme: &Theme, line: &str) -> Vec<Span<'static>> {
    let mut spans = Vec::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let (length, role) = if rest.starts_with("--") {
            (rest.len(), Role::Dim)
        } else if first == '"' || first == '\'' {
            let inside = rest[1..].find(first).map_or(rest.len(), |close| close + 2);
            (inside, Role::Done)
        } else if first.is_ascii_alphabetic() || first == '_' {
            let length = rest.find(|char: char| !char.is_ascii_alphanumeric() && char != '_').unwrap_or(rest.len());
            (length, if KEYWORDS.contains(&&rest[..length]) { Role::Key } else { Role::Text })
        } else {
            let is_plain = |char: char| !char.is_ascii_alphabetic() && !matches!(char, '_' | '"' | '\'' | '-');
            let length = rest.find(|char: char| !is_plain(char)).unwrap_or(rest.len());
            (length.max(first.len_utf8()), Role::Text)
        };
        spans.push(span(theme, role, &rest[..length]));
        rest = &rest[length..];
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn highlight_keeps_all_characters() {
        let theme = Theme::default();
        for line in ["local x = await(sleep(1)) -- 'one'", "print(\"é\" .. 'unclosed", "a-b_c é漢 --", ""] {
            let all: String = highlight(&theme, line).iter().map(|span| span.content.as_ref()).collect();
            assert_eq!(all, line);
        }
    }
}
