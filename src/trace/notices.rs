//! What a program reports besides its tasks, awaits and resources: samples of its stack, and exceptions that nothing
//! retrieved.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::id::TaskId;
use super::stack_frame::StackFrame;
use super::time::Nanos;

/// Maximum number of retained samples. Past it, the oldest are evicted.
const SAMPLES_MAX: usize = 10_000;

/// Maximum number of retained exceptions that nothing retrieved. Later ones are ignored.
const UNRETRIEVED_MAX: usize = 10_000;

/// Something that a program reports.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// What the current poll of a task executes, from a sample of its stack.
    Sampled {
        /// The polled task.
        task: TaskId,
        /// Time of the sample.
        at: Nanos,
        /// The innermost function of the program's own code.
        frame: StackFrame,
    },
    /// A task ended with an exception that nothing retrieved.
    NeverRetrieved {
        /// The task, if known.
        task: Option<TaskId>,
        /// When the program noticed it.
        at: Nanos,
        /// The exception.
        error: Box<str>,
    },
}

/// A sample of the stack during a poll: the last one of that poll.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackSample {
    /// The polled task.
    pub task: TaskId,
    /// Time of the sample.
    pub at: Nanos,
    /// The innermost function of the program's own code.
    pub frame: StackFrame,
}

/// An exception that nothing retrieved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnretrievedException {
    /// The task that ended with it, if known.
    pub task: Option<TaskId>,
    /// When the program noticed it.
    pub at: Nanos,
    /// Its text without control characters.
    pub error: Box<str>,
}

/// The newest samples, and the first exceptions that nothing retrieved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notices {
    samples: VecDeque<StackSample>,
    unretrieved: Vec<UnretrievedException>,
}

impl Notices {
    /// Adds a sample of the poll that started at `poll_start`. It replaces an earlier one of that poll.
    pub(super) fn add_sample(&mut self, sample: StackSample, poll_start: Nanos) {
        match self.samples.back_mut().filter(|last| last.task == sample.task && last.at >= poll_start) {
            Some(last) => *last = sample,
            None => {
                if self.samples.len() == SAMPLES_MAX {
                    self.samples.pop_front();
                }
                self.samples.push_back(sample);
            }
        }
    }

    /// Adds an exception.
    pub(super) fn add_unretrieved(&mut self, exception: UnretrievedException) {
        if self.unretrieved.len() < UNRETRIEVED_MAX {
            self.unretrieved.push(exception);
        }
    }

    /// Returns whether there is nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.samples.is_empty() && self.unretrieved.is_empty()
    }

    /// Returns whether the limits are kept.
    pub(super) fn is_valid(&self) -> bool {
        self.samples.len() <= SAMPLES_MAX && self.unretrieved.len() <= UNRETRIEVED_MAX
    }

    /// Returns the last sample of `task` from `from` to `to`.
    pub fn sample(&self, task: TaskId, from: Nanos, to: Nanos) -> Option<&StackSample> {
        self.samples.iter().rev().find(|sample| sample.task == task && (from..=to).contains(&sample.at))
    }

    /// Returns the exceptions that nothing retrieved.
    pub fn unretrieved(&self) -> &[UnretrievedException] {
        &self.unretrieved
    }
}
