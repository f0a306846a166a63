//! Converts Lua and mlua errors to faults that name the script's line and the failing coroutine.

use std::sync::Arc;

use mlua::{Error, Lua, Value};

use super::global_names::GLOBAL_NAMES;
use super::limits::MEMORY_BYTES_MAX;
use super::lock::lock;
use super::script_host::{FRAMES_MAX, ScriptHost};
use crate::workload::closest_match::closest_match;
use crate::workload::fault::{FaultKind, ScriptFault, TracebackFrame};

/// Lua's message when an allocation fails.
const OUT_OF_MEMORY: &str = "not enough memory";

/// Lua's message for an `await` that it cannot suspend.
const YIELD_ACROSS_C_CALL: &str = "yield across a C-call boundary";

/// Converts an mlua error to a fault.
pub(in crate::workload) fn fault_from_error(host: &ScriptHost, error: &Error) -> ScriptFault {
    match error {
        Error::CallbackError { cause, .. } | Error::WithContext { cause, .. } => fault_from_error(host, cause),
        Error::ExternalError(external) => match external.downcast_ref::<ScriptFault>() {
            Some(fault) => fault.clone(),
            None => ScriptFault::new(external.to_string()),
        },
        Error::RuntimeError(message) | Error::SyntaxError { message, .. } => fault_from_message(host, message),
        Error::MemoryError(_) => out_of_memory(host),
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

/// Converts a raised value to a fault.
pub(in crate::workload) fn fault_from_value(host: &ScriptHost, value: &Value) -> ScriptFault {
    match value {
        Value::Error(error) => fault_from_error(host, error),
        Value::String(text) => fault_from_message(host, &text.to_string_lossy()),
        Value::Nil => ScriptFault::new("error(nil): the script raised an error without saying which"),
        Value::Table(table) => {
            let message = table.get::<Option<String>>("message").ok().flatten();
            ScriptFault::new(message.unwrap_or_else(|| "the script raised a table as its error".to_owned()))
        }
        other => ScriptFault::new(other.to_string().unwrap_or_else(|_| format!("a {} was raised", other.type_name()))),
    }
}

/// Converts one of Lua's own messages: separates its position and finds the word that it refers to.
fn fault_from_message(host: &ScriptHost, message: &str) -> ScriptFault {
    let message = message.split("\nstack traceback:").next().unwrap_or(message).trim_end();
    let (line, text) = host.source.strip_position(message);
    if text.ends_with(OUT_OF_MEMORY) {
        return out_of_memory(host);
    }
    if text.contains(YIELD_ACROSS_C_CALL) || text.contains("yield from outside a coroutine") {
        return ScriptFault::new("cannot await inside a callback of table.sort or string.gsub, or inside a metamethod")
            .line(line)
            .hint("such a function cannot be suspended: await first, then pass the result in");
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
pub(super) fn out_of_memory(host: &ScriptHost) -> ScriptFault {
    let mebibytes = MEMORY_BYTES_MAX >> 20;
    ScriptFault::new(format!("the script needs more than {mebibytes} MiB of memory"))
        .line(host.last_line())
        .hint("keep less in memory: does a table or a string grow in a loop?")
        .kind(FaultKind::Limit)
}

/// Adds the traceback to a raised error. Lua calls it as a message handler, while the stack is intact.
pub(super) fn add_traceback(host: &ScriptHost, lua: &Lua, value: &Value) -> Value {
    let mut fault = fault_from_value(host, value);
    let coroutine_names = lock(&host.coroutine_names).clone();
    let mut frames = Vec::new();
    for level in 0..FRAMES_MAX {
        let frame = lua.inspect_stack(level, |frame| {
            let source = frame.source();
            let is_script = source.short_src.is_some_and(|name| name == host.source.chunk());
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
pub(super) fn task_fault(host: &ScriptHost, value: &Value, task: &Arc<str>) -> ScriptFault {
    let mut fault = fault_from_value(host, value);
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

/// Converts a raised error to the value that `pcall` returns.
///
/// # Errors
/// Raises uncatchable errors again.
pub(super) fn to_catchable(host: &ScriptHost, lua: &Lua, value: Value) -> mlua::Result<Value> {
    if is_uncatchable(host, &value) {
        return Err(Error::external(fault_from_value(host, &value)));
    }
    let fault = match &value {
        Value::Error(error) => Some(fault_from_error(host, error)),
        // Lua's message mentions C calls, which mean nothing to script authors.
        Value::String(text) if text.to_string_lossy().contains(YIELD_ACROSS_C_CALL) => {
            Some(fault_from_value(host, &value))
        }
        _ => None,
    };
    match fault {
        Some(fault) => Ok(Value::String(lua.create_string(fault.position_and_message(&host.source))?)),
        None => Ok(value),
    }
}

/// Returns whether `pcall` must not catch the error.
pub(super) fn is_uncatchable(host: &ScriptHost, value: &Value) -> bool {
    match value {
        Value::Error(error) => fault_from_error(host, error).kind != FaultKind::Error,
        Value::String(text) => text.as_bytes().ends_with(OUT_OF_MEMORY.as_bytes()),
        _ => false,
    }
}

/// Returns the message of a cancel, empty if it has none, and the cancel as an error to raise again. Returns `None` for
/// any other error.
pub(super) fn cancel_parts(host: &ScriptHost, value: &Value) -> Option<(String, Value)> {
    let Value::Error(error) = value else { return None };
    let fault = fault_from_error(host, error);
    let message = fault.cancel_message.as_deref().unwrap_or_default().to_owned();
    (fault.kind == FaultKind::Cancelled).then(|| (message, Value::Error(Box::new(Error::external(fault)))))
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
    closest_match(word, GLOBAL_NAMES.iter().copied())
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
