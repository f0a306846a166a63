//! A script's text as errors and locations speak of it: its lines, its words, and where in it something is named.

use std::sync::Arc;

use super::manifest::Manifest;
use crate::trace::Location;

/// Lua cuts a longer chunk name, and a cut name could not be found again in its messages.
const CHUNK_BYTES_MAX: usize = 50;

/// One script.
#[derive(Clone, Debug)]
pub struct Source {
    /// How the file is called: `workloads/chess-async.lua`.
    pub file: Arc<str>,
    pub text: Arc<str>,
    chunk: String,
}

impl Source {
    pub fn new(file: &str, text: &str) -> Self {
        Self { file: file.into(), text: text.into(), chunk: chunk_name(file) }
    }

    pub fn of(manifest: &Manifest) -> Self {
        Self::new(&manifest.file, &manifest.text)
    }

    /// What Lua calls the script in its messages: the file, or the end of a long one.
    pub fn chunk(&self) -> &str {
        &self.chunk
    }

    pub fn location(&self, line: u32) -> Location {
        Location { file: Arc::clone(&self.file), line }
    }

    /// The text of a line, counted from 1.
    pub fn line(&self, line: u32) -> Option<&str> {
        self.text.lines().nth(line.checked_sub(1)? as usize)
    }

    /// Takes `FILE:LINE: ` off the front of a message of Lua's.
    pub fn strip_position<'a>(&self, message: &'a str) -> (Option<u32>, &'a str) {
        let found = message.strip_prefix(self.chunk.as_str()).and_then(|rest| {
            let (line, rest) = rest.strip_prefix(':')?.split_once(": ")?;
            Some((Some(line.parse().ok()?), rest))
        });
        found.unwrap_or((None, message))
    }

    /// The column, from 1, of `word` in a line; `None` where the line has it twice, for then either may be meant.
    pub fn column_of(&self, line: u32, word: &str) -> Option<u32> {
        let text = self.line(line)?;
        let mut places = word_places(text, word);
        let place = places.next()?;
        if places.next().is_some() {
            return None;
        }
        Some(text[..place].chars().count() as u32 + 1)
    }

    /// Where the last name of a path of table keys is given: line and column of `min` in `params`, `counters`, `min`.
    pub fn position_of_key(&self, path: &[&str]) -> Option<(u32, u32)> {
        // The manifest is the table at the script's end; the last `return` at the start of a line begins it.
        let mut from = self.text.rfind("\nreturn").unwrap_or(0);
        for key in path {
            from += word_places(&self.text[from..], key).find(|place| {
                let after = self.text[from + place + key.len()..].trim_start();
                after.starts_with('=') && !after.starts_with("==") || after.starts_with("\"]")
            })?;
        }
        let before = &self.text[..from];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Some((before.matches('\n').count() as u32 + 1, before[line_start..].chars().count() as u32 + 1))
    }

    /// What the coroutine function defined at this line is called there: `count` in `local count = async(function()`.
    pub fn name_of_function(&self, line: u32) -> Option<&str> {
        let before = self.line(line)?.split("async").next()?.trim_end();
        let name = before.strip_suffix('=')?.trim_end();
        let start = name.rfind(|c: char| !c.is_alphanumeric() && c != '_').map_or(0, |at| at + 1);
        Some(&name[start..]).filter(|name| !name.is_empty())
    }
}

fn chunk_name(file: &str) -> String {
    if file.len() <= CHUNK_BYTES_MAX {
        return file.to_owned();
    }
    let mut start = file.len() - CHUNK_BYTES_MAX;
    while !file.is_char_boundary(start) {
        start += 1;
    }
    format!("...{}", &file[start..])
}

fn word_places<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    // A word of signs, such as `=`, ends where it ends.
    let bounded = word.starts_with(is_part);
    text.match_indices(word).map(|(place, _)| place).filter(move |place| {
        !word.is_empty()
            && !(bounded && (text[..*place].ends_with(is_part) || text[place + word.len()..].starts_with(is_part)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "local count = async(function()\n  await(slep(1)) -- slept\nend)\n\nreturn {\n  params = {\n    \
                        counters = { max = 3, min = 1 },\n  },\n  main = async(function() end),\n}\n";

    #[test]
    fn finds_words_keys_and_names() {
        let source = Source::new("count.lua", TEXT);
        assert_eq!(source.column_of(2, "slep"), Some(9));
        assert_eq!(source.column_of(2, "1"), Some(14));
        assert_eq!(source.column_of(2, "sleep"), None);
        assert_eq!(source.position_of_key(&["params", "counters", "min"]), Some((7, 27)));
        assert_eq!(source.position_of_key(&["title"]), None);
        assert_eq!(source.name_of_function(1), Some("count"));
        assert_eq!(source.name_of_function(9), Some("main"));
        assert_eq!(source.name_of_function(2), None);
    }

    #[test]
    fn knows_its_own_position_in_a_message() {
        let source = Source::new("count.lua", TEXT);
        assert_eq!(source.strip_position("count.lua:2: boom: x"), (Some(2), "boom: x"));
        assert_eq!(source.strip_position("other.lua:2: boom"), (None, "other.lua:2: boom"));
        let long = Source::new(&format!("/{}/é.lua", "deep/".repeat(40)), TEXT);
        assert!(long.chunk().len() < 60 && long.chunk().ends_with("é.lua"));
    }
}
