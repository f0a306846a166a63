//! What a program wants done whenever its loop has nothing to do.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use super::world::World;

type Work = Box<dyn FnMut() + Send>;

/// See the module. Asked before each park, on the loop's thread.
#[derive(Default)]
pub struct Idle(Mutex<Option<Work>>);

impl Idle {
    pub fn run(&self) {
        let mut work = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(work) = work.as_mut() {
            work();
        }
    }
}

impl fmt::Debug for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Idle")
    }
}

impl World {
    /// Does `work` each time nothing is ready, before the loop parks. It must be short, and may wake tasks.
    pub fn when_idle(&self, work: impl FnMut() + Send + 'static) {
        *self.shared().idle.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(work));
    }
}
