//! What a task counts of itself: its polls, and the calls of the waker that it hands to what it awaits.

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
    /// The task is gone; a waker that outlives it wakes nobody.
    is_over: AtomicBool,
}

impl Counts {
    /// Spawns `future` as a task called `name` that counts.
    pub fn spawn(&self, name: &str, future: impl Future<Output = ()> + Send + 'static) -> tokio::task::JoinHandle<()> {
        let count = Arc::new(Count::default());
        self.0.lock().expect("nobody panics with this lock").insert(name.to_owned(), count.clone());
        let counted = Counted { future: Box::pin(future), count, waker: None };
        tokio::task::Builder::new().name(name).spawn(counted).expect("spawned from inside the runtime")
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
    future: Pin<Box<dyn Future<Output = ()> + Send>>,
    count: Arc<Count>,
    waker: Option<Waker>,
}

impl Future for Counted {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.count.polls.fetch_add(1, Ordering::SeqCst);
        if self.waker.is_none() {
            let counting = Counting { count: self.count.clone(), tokio: context.waker().clone() };
            self.waker = Some(Arc::new(counting).into());
        }
        let waker = self.waker.clone().expect("set just above");
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.count.is_over.store(true, Ordering::SeqCst);
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
        if !self.count.is_over.load(Ordering::SeqCst) {
            self.count.wakes.fetch_add(1, Ordering::SeqCst);
        }
        self.tokio.wake_by_ref();
    }
}
