//! A script's source text: finds the lines, columns and names that errors and locations refer to.

use std::sync::Arc;

use crate::trace::Location;

/// Maximum length of a chunk name. Lua truncates longer names, and then they cannot be recognized in its messages.
const CHUNK_NAME_BYTES_MAX: usize = 50;

/// The source text of one script.
#[derive(Clone, Debug)]
pub struct ScriptSource {
    /// The file as locations and errors name it: `workloads/chess-async.lua`.
    pub file: Arc<str>,
    /// The complete text.
    pub text: Arc<str>,
    chunk: String,
}

impl ScriptSource {
    /// Creates the source of a script whose locations name `file`.
    pub fn new(file: &str, text: &str) -> Self {
        Self { file: file.into(), text: text.into(), chunk: shorten_chunk_name(file) }
    }

    /// Returns the chunk name that Lua uses in its messages: the file, or the end of a long path.
    pub fn chunk(&self) -> &str {
        &self.chunk
    }

    /// Returns the location of a line, counted from 1.
    pub fn location(&self, line: u32) -> Location {
        Location { file: Arc::clone(&self.file), line }
    }

    /// Returns the text of a line, counted from 1.
    pub fn line(&self, line: u32) -> Option<&str> {
        self.text.lines().nth(line.checked_sub(1)? as usize)
    }

    /// Splits the `FILE:LINE: ` prefix off a message from Lua.
    pub fn strip_position<'a>(&self, message: &'a str) -> (Option<u32>, &'a str) {
        let found = message.strip_prefix(self.chunk.as_str()).and_then(|rest| {
            let (line, rest) = rest.strip_prefix(':')?.split_once(": ")?;
            Some((Some(line.parse().ok()?), rest))
        });
        found.unwrap_or((None, message))
    }

    /// Returns the column of `word` in a line, both counted from 1.
    ///
    /// Returns `None` if the line does not contain the word exactly once.
    pub fn column_of(&self, line: u32, word: &str) -> Option<u32> {
        let text = self.line(line)?;
        let mut offsets = word_offsets(text, word);
        let offset = offsets.next()?;
        if offsets.next().is_some() {
            return None;
        }
        Some(text[..offset].chars().count() as u32 + 1)
    }

    /// Returns the line and column, both counted from 1, of the last key of a path in the manifest.
    ///
    /// For `params`, `counters`, `min` it is the position of `min`.
    pub fn position_of_key(&self, path: &[&str]) -> Option<(u32, u32)> {
        // The manifest is the table after the last `return` at the start of a line.
        let mut from = self.text.rfind("\nreturn").unwrap_or(0);
        for key in path {
            from += word_offsets(&self.text[from..], key).find(|offset| {
                let after = self.text[from + offset + key.len()..].trim_start();
                after.starts_with('=') && !after.starts_with("==") || after.starts_with("\"]")
            })?;
        }
        let before = &self.text[..from];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Some((before.matches('\n').count() as u32 + 1, before[line_start..].chars().count() as u32 + 1))
    }

    /// Returns the name of the coroutine function that is defined at a line: `count` in
    /// `local count = async(function()`.
    pub fn coroutine_function_name(&self, line: u32) -> Option<&str> {
        let before = self.line(line)?.split("async").next()?.trim_end();
        let name = before.strip_suffix('=')?.trim_end();
        let start = name.rfind(|c: char| !c.is_alphanumeric() && c != '_').map_or(0, |at| at + 1);
        Some(&name[start..]).filter(|name| !name.is_empty())
    }
}

fn shorten_chunk_name(file: &str) -> String {
    if file.len() <= CHUNK_NAME_BYTES_MAX {
        return file.to_owned();
    }
    let mut start = file.len() - CHUNK_NAME_BYTES_MAX;
    while !file.is_char_boundary(start) {
        start += 1;
    }
    format!("...{}", &file[start..])
}

fn word_offsets<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    // Operators such as `=` have no word boundaries.
    let bounded = word.starts_with(is_part);
    text.match_indices(word).map(|(offset, _)| offset).filter(move |offset| {
        !word.is_empty()
            && !(bounded && (text[..*offset].ends_with(is_part) || text[offset + word.len()..].starts_with(is_part)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "local count = async(function()\n  await(slep(1)) -- slept\nend)\n\nreturn {\n  params = {\n    \
                        counters = { max = 3, min = 1 },\n  },\n  main = async(function() end),\n}\n";

    #[test]
    fn finds_columns_keys_and_names() {
        let source = ScriptSource::new("count.lua", TEXT);
        assert_eq!(source.column_of(2, "slep"), Some(9));
        assert_eq!(source.column_of(2, "1"), Some(14));
        assert_eq!(source.column_of(2, "sleep"), None);
        assert_eq!(source.position_of_key(&["params", "counters", "min"]), Some((7, 27)));
        assert_eq!(source.position_of_key(&["title"]), None);
        assert_eq!(source.coroutine_function_name(1), Some("count"));
        assert_eq!(source.coroutine_function_name(9), Some("main"));
        assert_eq!(source.coroutine_function_name(2), None);
    }

    #[test]
    fn strips_only_own_position_prefix() {
        let source = ScriptSource::new("count.lua", TEXT);
        assert_eq!(source.strip_position("count.lua:2: boom: x"), (Some(2), "boom: x"));
        assert_eq!(source.strip_position("other.lua:2: boom"), (None, "other.lua:2: boom"));
        let long = ScriptSource::new(&format!("/{}/é.lua", "deep/".repeat(40)), TEXT);
        assert!(long.chunk().len() < 60 && long.chunk().ends_with("é.lua"));
    }
}
