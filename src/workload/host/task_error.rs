//! The error of a task as a value: what `gather` with `return_exceptions` and `task:exception()` return.

use mlua::{MetaMethod, UserData, UserDataFields, UserDataMethods};

use crate::workload::fault::ScriptFault;
use crate::workload::script_source::ScriptSource;

/// The error of a task as a value. Its text is the message that `pcall` would return.
pub(super) struct TaskErrorValue {
    kind: &'static str,
    message: String,
    text: String,
}

impl TaskErrorValue {
    /// Creates the value for an error. `kind` is `error`, `cancelled` or `panicked`.
    pub fn new(source: &ScriptSource, kind: &'static str, fault: ScriptFault) -> Self {
        Self { kind, text: fault.position_and_message(source), message: fault.message }
    }

    /// Returns the position and the message.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl UserData for TaskErrorValue {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_meta_field(MetaMethod::Type, "TaskError");
        fields.add_field_method_get("kind", |_, this| Ok(this.kind));
        fields.add_field_method_get("message", |_, this| Ok(this.message.clone()));
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(this.text.clone()));
    }
}
