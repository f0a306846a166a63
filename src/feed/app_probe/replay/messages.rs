//! Messages of the program that have a time of their own: its output and notices. They arrive apart from the records,
//! and wait until the records before them have been handled, so that their tasks are known.

use std::collections::VecDeque;

use loopscope_probe::protocol::{Notice as ProbeNotice, Output};

use super::StreamReplay;
use crate::feed::asyncio_names;
use crate::feed::console::{FILE_BYTES_MAX, NAME_BYTES_MAX};
use crate::sanitize::{truncate, visible_line};
use crate::trace::{ERROR_MARK, Event, Notice, UnawaitedCoroutine};

/// Longest line of output, in bytes.
const OUTPUT_BYTES_MAX: usize = 1 << 16;

/// Messages that wait at most, and their size in bytes. Past it, the oldest are handled without waiting.
const MESSAGES_MAX: usize = 1 << 14;
const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// A message.
#[derive(Debug)]
enum Message {
    Output { is_error: bool, text: Box<str> },
    NeverAwaited(UnawaitedCoroutine),
    NeverRetrieved { error: Box<str> },
}

/// A message that waits.
#[derive(Debug)]
struct PendingMessage {
    ticks: u64,
    /// The task's id in the stream.
    task: u64,
    bytes: usize,
    message: Message,
}

/// The messages that wait.
#[derive(Debug, Default)]
pub(super) struct PendingMessages {
    queue: VecDeque<PendingMessage>,
    bytes: usize,
}

impl StreamReplay {
    /// Adds a line that the program printed.
    pub fn output(&mut self, output: &Output, events: &mut Vec<Event>) {
        let text: Box<str> = truncate(&visible_line(&output.text), OUTPUT_BYTES_MAX).into();
        let bytes = text.len();
        let message = Message::Output { is_error: output.is_error, text };
        self.add_message(PendingMessage { ticks: output.ticks, task: output.task, bytes, message }, events);
    }

    /// Adds something that the program noticed.
    pub(super) fn notice(&mut self, notice: &ProbeNotice, events: &mut Vec<Event>) {
        let (bytes, message) = match &*notice.kind {
            "never_awaited" => {
                let name = self.definitions.text(&notice.name, NAME_BYTES_MAX);
                let location = self.definitions.location(&notice.file, notice.line);
                (NAME_BYTES_MAX + FILE_BYTES_MAX, Message::NeverAwaited(UnawaitedCoroutine { name, location }))
            }
            "never_retrieved" => {
                let error: Box<str> = asyncio_names::exception_text(&notice.text).into();
                (error.len(), Message::NeverRetrieved { error })
            }
            _ => return,
        };
        self.add_message(PendingMessage { ticks: notice.ticks, task: notice.task, bytes, message }, events);
    }

    fn add_message(&mut self, message: PendingMessage, events: &mut Vec<Event>) {
        self.messages.bytes += message.bytes;
        self.messages.queue.push_back(message);
        while self.messages.queue.len() > MESSAGES_MAX || self.messages.bytes > MESSAGE_BYTES_MAX {
            self.handle_message(events);
        }
    }

    /// Handles the messages up to `ticks`.
    #[inline]
    pub fn handle_messages(&mut self, ticks: u64, events: &mut Vec<Event>) {
        while self.messages.queue.front().is_some_and(|message| message.ticks <= ticks) {
            self.handle_message(events);
        }
    }

    /// Handles the oldest message.
    fn handle_message(&mut self, events: &mut Vec<Event>) {
        let Some(PendingMessage { ticks, task, bytes, message }) = self.messages.queue.pop_front() else { return };
        self.messages.bytes -= bytes;
        let (task, at) = (self.tasks.id_of(task), self.clock.loop_time(ticks));
        events.push(match message {
            Message::Output { is_error, text } => {
                let mark = if is_error { ERROR_MARK } else { "" };
                Event::Output { task, at, text: format!("{mark}{text}").into() }
            }
            Message::NeverAwaited(coroutine) => Event::NeverAwaited { task, at, coroutine: Box::new(coroutine) },
            Message::NeverRetrieved { error } => Event::Notice(Box::new(Notice::NeverRetrieved { task, at, error })),
        });
    }
}
