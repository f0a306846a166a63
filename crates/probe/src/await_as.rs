//! Names for awaits about which tokio reports nothing.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::hash::BuildHasherDefault;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::clock;
use crate::events::{self, is_recording};
use crate::live::IdHasher;
use crate::operations::{self, NewOperation};
use crate::record::RecordKind;
use crate::sites::{SiteKey, site_id};
use crate::thread::{self, ThreadState};

/// Names awaits. Import it to call [`await_as`](Self::await_as) on any future.
pub trait AwaitAs: Future + Sized {
    /// Reports the await of this future under a name, with the location of this call.
    ///
    /// tokio reports awaits of sleeps, intervals, locks, semaphores, barriers and oneshot channels by itself. It reports
    /// nothing about other channels, `Notify`, join handles, sockets and files; name those:
    ///
    /// ```
    /// use loopscope_probe::AwaitAs;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    /// tokio::spawn(async move { sender.send("order").await_as("send order").await });
    /// assert_eq!(receiver.recv().await_as("receive order").await, Some("order"));
    /// # }
    /// ```
    ///
    /// While nothing is recorded, a poll costs one relaxed load more.
    #[track_caller]
    fn await_as(self, name: &'static str) -> NamedAwait<Self> {
        let site = AwaitSite { name, type_name: std::any::type_name::<Self>(), location: Location::caller() };
        NamedAwait { future: self, operation: Operation { site, id: 0, recording: 0 } }
    }
}

impl<F: Future> AwaitAs for F {}

pin_project! {
    /// An await with a name. [`AwaitAs::await_as`] returns it.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless they are awaited"]
    pub struct NamedAwait<F> {
        #[pin]
        future: F,
        // Dropped after the future.
        operation: Operation,
    }
}

/// Parts of the names of tokio's types, with the kind of await that their futures are.
const KINDS: [(&str, &str); 11] = [
    ("tokio::sync::mpsc::", "channel"),
    ("tokio::sync::watch::", "channel"),
    ("tokio::sync::broadcast::", "channel"),
    ("tokio::sync::oneshot::", "channel"),
    ("tokio::sync::", "sync"),
    ("tokio::runtime::task::join", "task"),
    ("tokio::task::join_set::", "task"),
    ("tokio::time::", "timer"),
    ("tokio::net::", "io"),
    ("tokio::io::", "io"),
    ("tokio::process::", "io"),
];

/// Returns the kind of await that a future of this type is, as far as the name of the type shows it.
fn kind_of(type_name: &str) -> &'static str {
    // Parameters come later than the type itself: the first match counts.
    let found =
        KINDS.iter().filter_map(|(part, kind)| Some((type_name.find(part)?, std::cmp::Reverse(part.len()), kind)));
    found.min().map_or("await", |(.., kind)| kind)
}

/// Where and what is awaited.
#[derive(Clone, Copy, Debug)]
struct AwaitSite {
    name: &'static str,
    type_name: &'static str,
    location: &'static Location<'static>,
}

/// Sites of awaits that a thread finds by their addresses.
const THREAD_SITES_MAX: usize = 1 << 12;

/// Sites by address and length of the name, and the addresses of type name and location. These live as long as the
/// process.
type ThreadAwaitSites = HashMap<(usize, usize, usize, usize), u64, BuildHasherDefault<IdHasher>>;

thread_local! {
    static THREAD_SITES: RefCell<ThreadAwaitSites> = RefCell::new(HashMap::default());
}

impl AwaitSite {
    /// Returns the id of the site.
    fn id(self) -> u64 {
        let location = std::ptr::from_ref(self.location).addr();
        let key = (self.name.as_ptr().addr(), self.name.len(), self.type_name.as_ptr().addr(), location);
        let found = THREAD_SITES.try_with(|sites| {
            let mut sites = sites.borrow_mut();
            if let Some(&id) = sites.get(&key) {
                return id;
            }
            let id = self.intern();
            if sites.len() < THREAD_SITES_MAX {
                sites.insert(key, id);
            }
            id
        });
        // The thread ends.
        found.unwrap_or_else(|_| self.intern())
    }

    fn intern(self) -> u64 {
        site_id(&SiteKey {
            kind: kind_of(self.type_name),
            name: self.name,
            file: self.location.file(),
            line: self.location.line(),
            column: self.location.column(),
            ..SiteKey::default()
        })
    }
}

/// The operation that is reported.
#[derive(Debug)]
struct Operation {
    site: AwaitSite,
    /// Its id while it is pending, or 0.
    id: u64,
    /// The recording that knows the id.
    recording: u32,
}

impl Operation {
    /// Reports a poll that began at `start_ticks` and ends now.
    fn write_poll(&mut self, thread: &ThreadState, start_ticks: u64, is_ready: bool) {
        let recording = events::recording();
        if self.id != 0 && self.recording == recording {
            operations::write_poll(thread, self.id, start_ticks, is_ready);
        } else {
            (self.id, self.recording) = (thread::next_id(), recording);
            let operation = NewOperation { id: self.id, site: self.site.id(), resource: 0 };
            operations::write_first_poll(thread, operation, start_ticks, is_ready);
        }
        if is_ready {
            self.id = 0;
        }
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        if self.id != 0 && is_recording() && self.recording == events::recording() {
            events::write(RecordKind::OperationDropped, self.id);
        }
    }
}

impl<F: Future> Future for NamedAwait<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if !is_recording() {
            return this.future.poll(cx);
        }
        let start_ticks = clock::ticks();
        let poll = this.future.poll(cx);
        let _ = thread::with(|thread| this.operation.write_poll(thread, start_ticks, poll.is_ready()));
        poll
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind<F: Future>(_: &F) -> &'static str {
        kind_of(std::any::type_name::<F>())
    }

    #[test]
    fn types_of_tokio_have_a_kind() {
        let (sender, mut receiver) = tokio::sync::mpsc::channel::<tokio::sync::Notify>(1);
        let notify = tokio::sync::Notify::new();
        assert_eq!(kind(&receiver.recv()), "channel");
        assert_eq!(kind(&sender.reserve()), "channel");
        assert_eq!(kind(&notify.notified()), "sync");
        assert_eq!(kind(&tokio::net::TcpStream::connect("localhost:1")), "io");
        assert_eq!(kind(&std::future::ready(())), "await");
        assert_eq!(kind_of("tokio::runtime::task::join::JoinHandle<tokio::sync::mpsc::Sender<u8>>"), "task");
    }
}
