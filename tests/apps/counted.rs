//! Tasks that count their own polls and wakes.
//!
//! A stopped task drops its future within one of its polls and ends. A wake from another thread counts only if it comes
//! before that, so the count is well-defined.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

/// The counters of all tasks by name.
#[derive(Clone, Default)]
pub struct AppCounts(Arc<Mutex<BTreeMap<String, Arc<TaskCounter>>>>);

#[derive(Default)]
struct TaskCounter {
    polls: AtomicU64,
    wakes: AtomicU64,
    should_stop: AtomicBool,
    /// Set at the end. Locked during each wake, so that no wake counts after the end.
    is_ended: Mutex<bool>,
    waker: Mutex<Option<Waker>>,
}

impl AppCounts {
    /// Spawns `future` as a counting task called `name`.
    pub fn spawn(&self, name: &str, future: impl Future<Output = ()> + Send + 'static) -> tokio::task::JoinHandle<()> {
        let counter = Arc::new(TaskCounter::default());
        self.0.lock().expect("the lock is not poisoned").insert(name.to_owned(), counter.clone());
        let future = CountedFuture { future: Some(Box::pin(future)), counter };
        tokio::task::Builder::new().name(name).spawn(future).expect("spawn inside the runtime")
    }

    /// Makes every task stop at its next poll, and wakes it.
    pub fn stop(&self) {
        let counters: Vec<_> = self.0.lock().expect("the lock is not poisoned").values().cloned().collect();
        for counter in counters {
            counter.should_stop.store(true, Ordering::SeqCst);
            let waker = counter.waker.lock().expect("the lock is not poisoned").clone();
            // A task without a waker has not been polled yet, and will be.
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// Returns the counts as JSON: `{"name":{"polls":1,"wakes":2},…}`.
    pub fn json(&self) -> String {
        let counters = self.0.lock().expect("the lock is not poisoned");
        let entry = |(name, counter): (&String, &Arc<TaskCounter>)| {
            let (polls, wakes) = (counter.polls.load(Ordering::SeqCst), counter.wakes.load(Ordering::SeqCst));
            format!("\"{name}\":{{\"polls\":{polls},\"wakes\":{wakes}}}")
        };
        format!("{{{}}}", counters.iter().map(entry).collect::<Vec<_>>().join(","))
    }
}

struct CountedFuture {
    /// `None` once the task has ended.
    future: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    counter: Arc<TaskCounter>,
}

impl Future for CountedFuture {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.counter.polls.fetch_add(1, Ordering::SeqCst);
        let waker = {
            let mut slot = self.counter.waker.lock().expect("the lock is not poisoned");
            let waker = || CountingWaker { counter: self.counter.clone(), tokio: context.waker().clone() };
            slot.get_or_insert_with(|| Arc::new(waker()).into()).clone()
        };
        let should_stop = self.counter.should_stop.load(Ordering::SeqCst);
        let mut polled = |future: &mut Pin<Box<dyn Future<Output = ()> + Send>>| {
            future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending()
        };
        if !should_stop && self.future.as_mut().is_some_and(&mut polled) {
            return Poll::Pending;
        }
        self.future = None;
        *self.counter.is_ended.lock().expect("the lock is not poisoned") = true;
        Poll::Ready(())
    }
}

impl Drop for CountedFuture {
    fn drop(&mut self) {
        *self.counter.is_ended.lock().expect("the lock is not poisoned") = true;
    }
}

struct CountingWaker {
    counter: Arc<TaskCounter>,
    tokio: Waker,
}

impl Wake for CountingWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let is_ended = self.counter.is_ended.lock().expect("the lock is not poisoned");
        if *is_ended {
            return;
        }
        self.counter.wakes.fetch_add(1, Ordering::SeqCst);
        self.tokio.wake_by_ref();
    }
}
