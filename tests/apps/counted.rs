//! What a task counts of itself: its polls, and the calls of the waker that it hands to what it awaits.
//!
//! A task that is told to stop lets go of what it does within a poll of its own, and ends with that. A wake from another
//! thread either finds it there, or comes too late and is no wake: nobody can count it differently.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

/// Every task's counts, by its name.
#[derive(Clone, Default)]
pub struct Counts(Arc<Mutex<BTreeMap<String, Arc<Count>>>>);

#[derive(Default)]
struct Count {
    polls: AtomicU64,
    wakes: AtomicU64,
    stops: AtomicBool,
    /// Locked by whoever wakes it, and by its end.
    is_over: Mutex<bool>,
    waker: Mutex<Option<Waker>>,
}

impl Counts {
    /// Spawns `future` as a task called `name` that counts.
    pub fn spawn(&self, name: &str, future: impl Future<Output = ()> + Send + 'static) -> tokio::task::JoinHandle<()> {
        let count = Arc::new(Count::default());
        self.0.lock().expect("nobody panics with this lock").insert(name.to_owned(), count.clone());
        let counted = Counted { future: Some(Box::pin(future)), count };
        tokio::task::Builder::new().name(name).spawn(counted).expect("spawned from inside the runtime")
    }

    /// Tells every task to stop.
    pub fn stop(&self) {
        let counts: Vec<_> = self.0.lock().expect("nobody panics with this lock").values().cloned().collect();
        for count in counts {
            count.stops.store(true, Ordering::SeqCst);
            let waker = count.waker.lock().expect("nobody panics with this lock").clone();
            // One that was never polled will be.
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// `{"name":{"polls":1,"wakes":2},…}`.
    pub fn json(&self) -> String {
        let counts = self.0.lock().expect("nobody panics with this lock");
        let entry = |(name, count): (&String, &Arc<Count>)| {
            let (polls, wakes) = (count.polls.load(Ordering::SeqCst), count.wakes.load(Ordering::SeqCst));
            format!("\"{name}\":{{\"polls\":{polls},\"wakes\":{wakes}}}")
        };
        format!("{{{}}}", counts.iter().map(entry).collect::<Vec<_>>().join(","))
    }
}

struct Counted {
    /// `None` once it is over.
    future: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    count: Arc<Count>,
}

impl Future for Counted {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.count.polls.fetch_add(1, Ordering::SeqCst);
        let waker = {
            let mut kept = self.count.waker.lock().expect("nobody panics with this lock");
            let counting = || Counting { count: self.count.clone(), tokio: context.waker().clone() };
            kept.get_or_insert_with(|| Arc::new(counting()).into()).clone()
        };
        let is_stopped = self.count.stops.load(Ordering::SeqCst);
        let mut polled = |future: &mut Pin<Box<dyn Future<Output = ()> + Send>>| {
            future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending()
        };
        if !is_stopped && self.future.as_mut().is_some_and(&mut polled) {
            return Poll::Pending;
        }
        self.future = None;
        *self.count.is_over.lock().expect("nobody panics with this lock") = true;
        Poll::Ready(())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        *self.count.is_over.lock().expect("nobody panics with this lock") = true;
    }
}

struct Counting {
    count: Arc<Count>,
    tokio: Waker,
}

impl Wake for Counting {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let is_over = self.count.is_over.lock().expect("nobody panics with this lock");
        if *is_over {
            return;
        }
        self.count.wakes.fetch_add(1, Ordering::SeqCst);
        self.tokio.wake_by_ref();
    }
}
