//! What a script did wrong: gathered where it happens, told with the line, the task and who awaited it.

use std::fmt::Write;

use super::source::Source;

/// Awaiters named in one message; a recursion could have thousands.
const LINKS_MAX: usize = 12;

/// Characters of a shown line.
const LINE_CHARS_MAX: usize = 160;

/// A wrong that is on its way up through coroutines and tasks.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    pub message: String,
    pub hint: Option<String>,
    pub line: Option<u32>,
    /// The word in that line that is at fault.
    pub token: Option<String>,
    /// Who was at it, then who awaited them.
    pub chain: Vec<Link>,
    /// How many links at the chain's end belong to the task that it now goes through.
    pub own_links: usize,
    pub weight: Weight,
}

/// One coroutine of the chain, and the line it was at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub name: String,
    pub line: Option<u32>,
}

/// Who may stop a fault on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// A script's own `pcall`.
    Error,
    /// Nobody: a limit was reached, and a script that went on would reach it again.
    Limit,
    /// Nobody: the run is being stopped.
    Stopped,
    /// Nobody: the task is to panic with this message.
    Panic,
}

impl Fault {
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
            line: None,
            token: None,
            chain: Vec::new(),
            own_links: 0,
            weight: Weight::Error,
        }
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub fn line(mut self, line: Option<u32>) -> Self {
        self.line = line;
        self
    }

    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    #[must_use]
    pub fn weight(mut self, weight: Weight) -> Self {
        self.weight = weight;
        self
    }

    /// The whole story for people.
    pub fn report(&self, source: &Source) -> ScriptError {
        let column = self.line.zip(self.token.as_deref()).and_then(|(line, token)| source.column_of(line, token));
        self.report_at(source, column)
    }

    /// The same, where the column is known better than by looking for the word.
    pub fn report_at(&self, source: &Source, column: Option<u32>) -> ScriptError {
        let file = source.file.to_string();
        let mut text = file.clone();
        for number in [self.line, column].into_iter().flatten() {
            let _ = write!(text, ":{number}");
        }
        let _ = write!(text, ": {}", self.message);
        if let Some((line, shown)) = self.line.and_then(|line| Some((line, source.line(line)?))) {
            let width = self.token.as_deref().map_or(1, |token| token.chars().count());
            show_line(&mut text, line, shown, column, width);
        }
        if !self.chain.is_empty() {
            let _ = write!(text, "\n  {}", self.tell_chain(source));
        }
        if let Some(hint) = &self.hint {
            let _ = write!(text, "\n  help: {hint}");
        }
        ScriptError { file, line: self.line, column, message: self.message.clone(), text }
    }

    fn tell_chain(&self, source: &Source) -> String {
        let told: Vec<String> = self.chain.iter().take(LINKS_MAX).map(|link| link.tell(source)).collect();
        let rest = self.chain.len().saturating_sub(LINKS_MAX);
        let more = if rest > 0 { format!(", and {rest} more") } else { String::new() };
        format!("in {}{more}", told.join(", awaited by "))
    }
}

impl Link {
    fn tell(&self, source: &Source) -> String {
        match self.line {
            Some(line) => format!("{} ({}:{line})", self.name, source.file),
            None => self.name.clone(),
        }
    }
}

fn show_line(text: &mut String, line: u32, shown: &str, column: Option<u32>, width: usize) {
    let shown: String = shown.replace('\t', " ").chars().filter(|c| !c.is_control()).take(LINE_CHARS_MAX).collect();
    let number = line.to_string();
    let _ = write!(text, "\n  {number} | {}", shown.trim_end());
    if let Some(column) = column.map(|column| column as usize).filter(|column| *column <= LINE_CHARS_MAX) {
        let (margin, indent) = (" ".repeat(number.len()), " ".repeat(column - 1));
        let _ = write!(text, "\n  {margin} | {indent}{}", "^".repeat(width.min(LINE_CHARS_MAX)));
    }
}

/// A script's fault as it reaches people: `FILE:LINE:COLUMN: what`, the line itself, who was at it, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct ScriptError {
    pub file: String,
    pub line: Option<u32>,
    pub column: Option<u32>,
    /// What was wrong, in one line.
    pub message: String,
    /// Everything, in several lines.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_points_at_the_word_and_names_the_awaiters() {
        let source = Source::new("count.lua", "local x\nawait(slep(1))\n");
        let mut fault = Fault::new("`slep` is nil").line(Some(2)).token("slep").hint("write sleep");
        fault.chain =
            vec![Link { name: "count-2".to_owned(), line: Some(2) }, Link { name: "main".to_owned(), line: Some(1) }];
        assert_eq!(
            fault.report(&source).to_string(),
            "count.lua:2:7: `slep` is nil\n  2 | await(slep(1))\n    |       ^^^^\n  in count-2 (count.lua:2), awaited by \
             main (count.lua:1)\n  help: write sleep"
        );
    }
}
