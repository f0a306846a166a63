//! How whatever goes wrong inside Lua becomes a fault that names the script's line and who was at it.

use std::sync::Arc;

use mlua::{Error, Function, Lua, Value};

use super::{Host, locked};
use crate::workload::fault::{Fault, Link, Weight};

/// Frames looked at for a fault; a runaway recursion has hundreds of thousands.
const FRAMES_MAX: usize = 100;

/// What Lua itself says when its allocator refuses.
const OUT_OF_MEMORY: &str = "not enough memory";

/// What Lua itself says of an await that it cannot suspend.
const YIELD_ACROSS: &str = "yield across a C-call boundary";

impl Host {
    /// The line of the script that called the host function now running. `None` after `return f()`: Lua drops the
    /// caller's frame before such a call.
    pub fn caller_line(&self, lua: &Lua) -> Option<u32> {
        for level in 0..FRAMES_MAX {
            let seen = lua.inspect_stack(level, |frame| {
                let ours = frame.source().short_src.is_some_and(|name| name == self.source.chunk());
                (if ours { frame.current_line() } else { None }, frame.is_tail_call())
            })?;
            match seen {
                (Some(line), _) => return self.saw(u32::try_from(line).ok()),
                (None, true) => return None,
                (None, false) => {}
            }
        }
        None
    }

    /// An error for a host function that was misused, placed at the line that called it.
    pub fn misuse(&self, lua: &Lua, fault: Fault) -> Error {
        let line = fault.line.or_else(|| self.caller_line(lua));
        Error::external(fault.line(line))
    }

    /// The fault behind an error of mlua's.
    pub fn fault_of(&self, error: &Error) -> Fault {
        match error {
            Error::CallbackError { cause, .. } | Error::WithContext { cause, .. } => self.fault_of(cause),
            Error::ExternalError(external) => match external.downcast_ref::<Fault>() {
                Some(fault) => fault.clone(),
                None => Fault::new(external.to_string()),
            },
            Error::RuntimeError(message) | Error::SyntaxError { message, .. } => self.fault_of_message(message),
            Error::MemoryError(_) => self.out_of_memory(),
            Error::BadArgument { to: Some(to), name: Some(name), .. } if name == "self" => {
                // Methods are called `Task.cancel` by mlua.
                let (owner, method) = to.rsplit_once('.').unwrap_or(("object", to));
                let owner = owner.to_lowercase();
                Fault::new(format!("`{method}` was called without its {owner}"))
                    .token(method)
                    .hint(format!("write {owner}:{method}() with a colon"))
            }
            other => Fault::new(other.to_string()),
        }
    }

    fn fault_of_value(&self, value: &Value) -> Fault {
        match value {
            Value::Error(error) => self.fault_of(error),
            Value::String(text) => self.fault_of_message(&text.to_string_lossy()),
            Value::Nil => Fault::new("error(nil): the script raised an error without saying which"),
            Value::Table(table) => {
                let message = table.get::<Option<String>>("message").ok().flatten();
                Fault::new(message.unwrap_or_else(|| "the script raised a table as its error".to_owned()))
            }
            other => Fault::new(other.to_string().unwrap_or_else(|_| format!("a {} was raised", other.type_name()))),
        }
    }

    /// Reads a message of Lua's own: takes its position off, and finds the word that it is about.
    fn fault_of_message(&self, message: &str) -> Fault {
        let message = message.split("\nstack traceback:").next().unwrap_or(message).trim_end();
        let (line, text) = self.source.strip_position(message);
        if text.ends_with(OUT_OF_MEMORY) {
            return self.out_of_memory();
        }
        if text.contains(YIELD_ACROSS) || text.contains("yield from outside a coroutine") {
            return Fault::new("await inside a callback of table.sort, string.gsub or a metamethod")
                .line(line)
                .hint("such a callback cannot be suspended: await first, and hand over the result");
        }
        if text.starts_with("stack overflow") || text.contains("C stack overflow") {
            return Fault::new("the calls are nested too deeply: does a function call itself without end?").line(line);
        }
        let fault = Fault::new(text).line(line);
        match quoted_word(text) {
            Some((word, is_name)) => {
                let fault = fault.token(word);
                match nearest_name(word).filter(|near| is_name && text.contains("global") && *near != word) {
                    Some(near) => fault.hint(format!("did you mean `{near}`?")),
                    None => fault,
                }
            }
            None => fault,
        }
    }

    pub fn out_of_memory(&self) -> Fault {
        let mebibytes = super::MEMORY_BYTES_MAX >> 20;
        let last = self.last_line.load(std::sync::atomic::Ordering::Relaxed);
        Fault::new(format!("the script needs more than {mebibytes} MiB of memory"))
            .line((last > 0).then_some(last))
            .hint("keep less at a time: is a table or a text growing in a loop?")
            .weight(Weight::Limit)
    }

    /// Lua calls this where a fault happens, while the stack still tells who was at it.
    pub fn on_fault(&self, lua: &Lua, value: &Value) -> Value {
        let mut fault = self.fault_of_value(value);
        let functions = locked(&self.functions).clone();
        let mut own = Vec::new();
        for level in 0..FRAMES_MAX {
            let frame = lua.inspect_stack(level, |frame| {
                let source = frame.source();
                let ours = source.short_src.is_some_and(|name| name == self.source.chunk());
                ours.then(|| (frame.current_line(), source.line_defined))
            });
            let Some(frame) = frame else { break };
            let Some((line, defined)) = frame else { continue };
            let line = line.and_then(|line| u32::try_from(line).ok());
            fault.line = fault.line.or(line);
            if let Some(name) = defined.and_then(|defined| functions.get(&(defined as u32))) {
                own.push(Link { name: name.to_string(), line });
            }
        }
        fault.own_links = own.len();
        fault.chain.extend(own);
        Value::Error(Box::new(Error::external(fault)))
    }

    /// Turns what a body raised into its task's fault, with the task's own name for its outermost coroutine.
    pub fn fault_of_task(&self, value: &Value, task: &Arc<str>) -> Fault {
        let mut fault = self.fault_of_value(value);
        match fault.chain.last_mut().filter(|_| fault.own_links > 0) {
            Some(link) => link.name = task.to_string(),
            // `return await(t)` leaves no frame behind; then the line is another task's.
            None => {
                let line = fault.line.filter(|_| fault.chain.is_empty());
                fault.chain.push(Link { name: task.to_string(), line });
            }
        }
        fault.own_links = 0;
        fault
    }

    /// Runs the script's top level.
    pub fn run_top_level(&self, body: &Function) -> Result<Value, Fault> {
        locked(&self.stretch).begin();
        match self.run_function().call::<(bool, Value)>(body) {
            Ok((true, value)) => Ok(value),
            Ok((false, raised)) => Err(self.fault_of_value(&raised)),
            Err(error) => Err(self.fault_of(&error)),
        }
    }

    /// What a script's own `pcall` gets to see; an error again for what no script may stop.
    pub fn caught(&self, lua: &Lua, value: Value) -> mlua::Result<Value> {
        if self.is_mine(&value) {
            return Err(Error::external(self.fault_of_value(&value)));
        }
        let fault = match &value {
            Value::Error(error) => Some(self.fault_of(error)),
            // What Lua says here is about its own insides.
            Value::String(text) if text.to_string_lossy().contains(YIELD_ACROSS) => Some(self.fault_of_value(&value)),
            _ => None,
        };
        match fault {
            Some(fault) => {
                let place = fault.line.map_or_else(String::new, |line| format!("{}:{line}: ", self.source.file));
                Ok(Value::String(lua.create_string(format!("{place}{}", fault.message))?))
            }
            None => Ok(value),
        }
    }

    /// Whether an error is of the kind that goes on through every `pcall`.
    pub fn is_mine(&self, value: &Value) -> bool {
        match value {
            Value::Error(error) => self.fault_of(error).weight != Weight::Error,
            Value::String(text) => text.as_bytes().ends_with(OUT_OF_MEMORY.as_bytes()),
            _ => false,
        }
    }
}

/// The word that a message of Lua's is about, and whether it is a name rather than a sign: `slep` in
/// `attempt to call a nil value (global 'slep')`, `x` in `'=' expected near 'x'`.
fn quoted_word(message: &str) -> Option<(&str, bool)> {
    // Where a syntax error was met; else what a name in brackets says; else the function that was given a bad argument.
    let (_, rest) = ["near '", "(", "to '"]
        .iter()
        .find_map(|mark| message.rsplit_once(mark).filter(|(_, rest)| rest.contains('\'')))?;
    let word = if message.contains("near '") || rest.find('\'') == rest.rfind('\'') {
        rest.split('\'').next()
    } else {
        rest.split('\'').nth(1)
    }?;
    let is_name = word.starts_with(|c: char| c.is_alphabetic() || c == '_');
    (!word.is_empty()).then_some((word, is_name))
}

fn nearest_name(word: &str) -> Option<&'static str> {
    crate::workload::params::nearest(word, super::language::NAMES.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_word_that_a_message_is_about() {
        for (message, word) in [
            ("attempt to call a nil value (global 'slep')", Some("slep")),
            ("attempt to index a nil value (field 'x')", Some("x")),
            ("'=' expected near 'counters'", Some("counters")),
            ("unexpected symbol near ')'", Some(")")),
            ("'end' expected (to close 'function' at line 1) near <eof>", Some("function")),
            ("bad argument #1 to 'rep' (string expected, got no value)", Some("rep")),
            ("boom", None),
        ] {
            assert_eq!(quoted_word(message).map(|(word, _)| word), word, "{message}");
        }
    }
}
