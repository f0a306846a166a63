//! Converts Lua and mlua errors to faults that name the script's line and the failing coroutine.

use std::sync::Arc;

use mlua::{Error, Function, Lua, Value};

use super::{ScriptHost, lock};
use crate::workload::fault::{FaultKind, ScriptFault, TracebackFrame};

/// Maximum number of stack frames that are inspected. A runaway recursion has hundreds of thousands.
const FRAMES_MAX: usize = 100;

/// Lua's message when an allocation fails.
const OUT_OF_MEMORY: &str = "not enough memory";

/// Lua's message for an `await` that it cannot suspend.
const YIELD_ACROSS_C_CALL: &str = "yield across a C-call boundary";

impl ScriptHost {
    /// Returns the line of the script that called the current host function.
    ///
    /// Returns `None` for a tail call (`return f()`), because Lua drops the caller's frame before it.
    pub fn caller_line(&self, lua: &Lua) -> Option<u32> {
        for level in 0..FRAMES_MAX {
            let frame = lua.inspect_stack(level, |frame| {
                let is_script = frame.source().short_src.is_some_and(|name| name == self.source.chunk());
                (if is_script { frame.current_line() } else { None }, frame.is_tail_call())
            })?;
            match frame {
                (Some(line), _) => return self.record_line(u32::try_from(line).ok()),
                (None, true) => return None,
                (None, false) => {}
            }
        }
        None
    }

    /// Returns an error for incorrect use of a host function, located at the line that called it.
    pub fn usage_error(&self, lua: &Lua, fault: ScriptFault) -> Error {
        let line = fault.line.or_else(|| self.caller_line(lua));
        Error::external(fault.line(line))
    }

    /// Converts an mlua error to a fault.
    pub fn fault_from_error(&self, error: &Error) -> ScriptFault {
        match error {
            Error::CallbackError { cause, .. } | Error::WithContext { cause, .. } => self.fault_from_error(cause),
            Error::ExternalError(external) => match external.downcast_ref::<ScriptFault>() {
                Some(fault) => fault.clone(),
                None => ScriptFault::new(external.to_string()),
            },
            Error::RuntimeError(message) | Error::SyntaxError { message, .. } => self.fault_from_message(message),
            Error::MemoryError(_) => self.out_of_memory(),
            Error::BadArgument { to: Some(to), name: Some(name), .. } if name == "self" => {
                // mlua names methods `TypeName.method`: `ScriptTask.cancel`.
                let (owner, method) = to.rsplit_once('.').unwrap_or(("object", to));
                let owner = owner.strip_prefix("Script").unwrap_or(owner).to_lowercase();
                ScriptFault::new(format!("`{method}` was called without its {owner}"))
                    .token(method)
                    .hint(format!("write {owner}:{method}() with a colon"))
            }
            other => ScriptFault::new(other.to_string()),
        }
    }

    fn fault_from_value(&self, value: &Value) -> ScriptFault {
        match value {
            Value::Error(error) => self.fault_from_error(error),
            Value::String(text) => self.fault_from_message(&text.to_string_lossy()),
            Value::Nil => ScriptFault::new("error(nil): the script raised an error without saying which"),
            Value::Table(table) => {
                let message = table.get::<Option<String>>("message").ok().flatten();
                ScriptFault::new(message.unwrap_or_else(|| "the script raised a table as its error".to_owned()))
            }
            other => {
                ScriptFault::new(other.to_string().unwrap_or_else(|_| format!("a {} was raised", other.type_name())))
            }
        }
    }

    /// Converts one of Lua's own messages: separates its position and finds the word that it refers to.
    fn fault_from_message(&self, message: &str) -> ScriptFault {
        let message = message.split("\nstack traceback:").next().unwrap_or(message).trim_end();
        let (line, text) = self.source.strip_position(message);
        if text.ends_with(OUT_OF_MEMORY) {
            return self.out_of_memory();
        }
        if text.contains(YIELD_ACROSS_C_CALL) || text.contains("yield from outside a coroutine") {
            return ScriptFault::new("await inside a callback of table.sort, string.gsub or a metamethod")
                .line(line)
                .hint("such a callback cannot be suspended: await first, then pass the result in");
        }
        if text.starts_with("stack overflow") || text.contains("C stack overflow") {
            return ScriptFault::new("calls are nested too deeply: does a function call itself endlessly?").line(line);
        }
        let fault = ScriptFault::new(text).line(line);
        match quoted_word(text) {
            Some((word, is_name)) => {
                let fault = fault.token(word);
                match closest_global(word).filter(|near| is_name && text.contains("global") && *near != word) {
                    Some(near) => fault.hint(format!("did you mean `{near}`?")),
                    None => fault,
                }
            }
            None => fault,
        }
    }

    /// Returns the fault for an exceeded memory limit, located at the most recent line.
    pub fn out_of_memory(&self) -> ScriptFault {
        let mebibytes = super::MEMORY_BYTES_MAX >> 20;
        let last = self.last_line.load(std::sync::atomic::Ordering::Relaxed);
        ScriptFault::new(format!("the script needs more than {mebibytes} MiB of memory"))
            .line((last > 0).then_some(last))
            .hint("keep less in memory: does a table or a text grow in a loop?")
            .kind(FaultKind::Limit)
    }

    /// Adds the traceback to a raised error. Lua calls it as a message handler, while the stack is intact.
    pub fn add_traceback(&self, lua: &Lua, value: &Value) -> Value {
        let mut fault = self.fault_from_value(value);
        let coroutine_names = lock(&self.coroutine_names).clone();
        let mut frames = Vec::new();
        for level in 0..FRAMES_MAX {
            let frame = lua.inspect_stack(level, |frame| {
                let source = frame.source();
                let is_script = source.short_src.is_some_and(|name| name == self.source.chunk());
                is_script.then(|| (frame.current_line(), source.line_defined))
            });
            let Some(frame) = frame else { break };
            let Some((line, defined)) = frame else { continue };
            let line = line.and_then(|line| u32::try_from(line).ok());
            fault.line = fault.line.or(line);
            if let Some(name) = defined.and_then(|defined| coroutine_names.get(&(defined as u32))) {
                frames.push(TracebackFrame { name: name.to_string(), line });
            }
        }
        fault.task_frames = frames.len();
        fault.traceback.extend(frames);
        Value::Error(Box::new(Error::external(fault)))
    }

    /// Converts an error raised by a task's body to the task's fault. The outermost coroutine gets the task's name.
    pub fn task_fault(&self, value: &Value, task: &Arc<str>) -> ScriptFault {
        let mut fault = self.fault_from_value(value);
        match fault.traceback.last_mut().filter(|_| fault.task_frames > 0) {
            Some(link) => link.name = task.to_string(),
            // `return await(t)` leaves no frame. Then the line belongs to another task.
            None => {
                let line = fault.line.filter(|_| fault.traceback.is_empty());
                fault.traceback.push(TracebackFrame { name: task.to_string(), line });
            }
        }
        fault.task_frames = 0;
        fault
    }

    /// Runs the script's top level.
    pub fn run_top_level(&self, body: &Function) -> Result<Value, ScriptFault> {
        lock(&self.cpu_budget).restart();
        match self.body_runner().call::<(bool, Value)>(body) {
            Ok((true, value)) => Ok(value),
            Ok((false, raised)) => Err(self.fault_from_value(&raised)),
            Err(error) => Err(self.fault_from_error(&error)),
        }
    }

    /// Converts a raised error to the value that `pcall` returns.
    ///
    /// # Errors
    /// Raises uncatchable errors again.
    pub fn to_catchable(&self, lua: &Lua, value: Value) -> mlua::Result<Value> {
        if self.is_uncatchable(&value) {
            return Err(Error::external(self.fault_from_value(&value)));
        }
        let fault = match &value {
            Value::Error(error) => Some(self.fault_from_error(error)),
            // Lua's message mentions C calls, which mean nothing to script authors.
            Value::String(text) if text.to_string_lossy().contains(YIELD_ACROSS_C_CALL) => {
                Some(self.fault_from_value(&value))
            }
            _ => None,
        };
        match fault {
            Some(fault) => {
                let position = fault.line.map_or_else(String::new, |line| format!("{}:{line}: ", self.source.file));
                Ok(Value::String(lua.create_string(format!("{position}{}", fault.message))?))
            }
            None => Ok(value),
        }
    }

    /// Returns whether `pcall` must not catch the error.
    pub fn is_uncatchable(&self, value: &Value) -> bool {
        match value {
            Value::Error(error) => self.fault_from_error(error).kind != FaultKind::Error,
            Value::String(text) => text.as_bytes().ends_with(OUT_OF_MEMORY.as_bytes()),
            _ => false,
        }
    }
}

/// Returns the word that a Lua message refers to, and whether it is a name rather than an operator.
///
/// It is `slep` in `attempt to call a nil value (global 'slep')` and `x` in `'=' expected near 'x'`.
fn quoted_word(message: &str) -> Option<(&str, bool)> {
    // In this order: the position of a syntax error, a name in parentheses, the function that got a bad argument.
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

fn closest_global(word: &str) -> Option<&'static str> {
    crate::workload::params::closest_match(word, super::globals::GLOBAL_NAMES.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_quoted_word() {
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
