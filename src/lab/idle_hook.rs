//! A callback that runs whenever the loop is about to park.

use std::fmt;
use std::sync::{Mutex, PoisonError};

type IdleCallback = Box<dyn FnMut() + Send>;

/// The callback to run before each park, on the loop thread.
#[derive(Default)]
pub struct IdleHook(Mutex<Option<IdleCallback>>);

impl IdleHook {
    /// Sets the callback.
    pub fn set(&self, callback: impl FnMut() + Send + 'static) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(callback));
    }

    /// Runs the callback, if one is set.
    pub fn run(&self) {
        let mut callback = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(callback) = callback.as_mut() {
            callback();
        }
    }
}

impl fmt::Debug for IdleHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdleHook")
    }
}
