//! Tasks under load that count their polls, their wakes and their lock waits.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;

/// Counts the polls of a future.
struct CountPolls<'a, F> {
    future: Pin<Box<F>>,
    polls: &'a AtomicU64,
}

impl<F: Future> Future for CountPolls<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.polls.fetch_add(1, Ordering::Relaxed);
        self.future.as_mut().poll(cx)
    }
}

/// A place for the waker of one task. Wakes are counted for the task.
#[derive(Default)]
struct Mailbox {
    waker: std::sync::Mutex<(u64, Option<Waker>)>,
    wakes: AtomicU64,
}

impl Mailbox {
    fn post(&self) {
        let mut waker = self.waker.lock().expect("lock");
        waker.0 += 1;
        if let Some(waker) = waker.1.take() {
            self.wakes.fetch_add(1, Ordering::Relaxed);
            waker.wake();
        }
    }

    async fn receive(&self) {
        poll_fn(|cx| {
            let mut waker = self.waker.lock().expect("lock");
            if waker.0 > 0 {
                waker.0 -= 1;
                return Poll::Ready(());
            }
            waker.1 = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// Runs `WORKERS with|without SUBSCRIBER`, where 0 workers are a current-thread runtime, and the subscriber is the
/// probe's (`own`), or a registry with a further layer (`fmt`, `console`).
pub fn run(arguments: &str) {
    let arguments: Vec<_> = arguments.split(' ').collect();
    let [workers, hooks, subscriber] = arguments[..] else { panic!("{arguments:?}") };
    let workers: usize = workers.parse().expect("number");
    let layers = tracing_subscriber::registry().with(match subscriber {
        "own" => None,
        _ => Some(loopscope_probe::layer()),
    });
    match subscriber {
        "fmt" => {
            let logs = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_filter(LevelFilter::INFO);
            layers.with(logs).init();
        }
        "console" => {
            let console = console_subscriber::ConsoleLayer::builder().server_addr(([127, 0, 0, 1], 0)).spawn();
            layers.with(console).init();
        }
        _ => {}
    }
    let _probe = loopscope_probe::init();
    assert_eq!(_probe.problem(), None);
    tracing::info!("the program runs");
    let mut builder = match workers {
        0 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    if hooks == "with" {
        loopscope_probe::runtime(&mut builder);
    }
    if workers > 0 {
        builder.worker_threads(workers);
    }
    let runtime = builder.enable_all().build().expect("runtime");
    runtime.block_on(async {
        let pairs: Vec<_> = (0..20).map(|_| tokio::spawn(rally())).collect();
        let lock = Arc::new(tokio::sync::Mutex::new(0));
        let lockers: Vec<_> = (0..20).map(|_| tokio::spawn(contend(lock.clone()))).collect();
        for pair in pairs {
            pair.await.expect("pair");
        }
        for locker in lockers {
            locker.await.expect("locker");
        }
    });
}

/// Plays between two tasks, which wake each other and, at times, themselves.
async fn rally() {
    let mailboxes = Arc::new([Mailbox::default(), Mailbox::default()]);
    let players = [0, 1].map(|me| {
        let mailboxes = mailboxes.clone();
        tokio::spawn(async move {
            let polls = AtomicU64::new(0);
            let play = Box::pin(async {
                for round in 0..2_000 {
                    mailboxes[1 - me].post();
                    mailboxes[me].receive().await;
                    if round % 7 == 0 {
                        wake_myself(&mailboxes[me].wakes).await;
                    }
                }
            });
            CountPolls { future: play, polls: &polls }.await;
            (tokio::task::id(), polls.into_inner())
        })
    });
    for (player, mailbox) in players.into_iter().zip(&*mailboxes) {
        let (task, polls) = player.await.expect("player");
        println!("task {task} {polls} {}", mailbox.wakes.load(Ordering::Relaxed));
    }
}

async fn wake_myself(wakes: &AtomicU64) {
    let mut is_woken = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut is_woken, true) {
            return Poll::Ready(());
        }
        wakes.fetch_add(1, Ordering::Relaxed);
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Locks a mutex again and again, and holds it across an await.
async fn contend(lock: Arc<tokio::sync::Mutex<u64>>) {
    let (polls, waits) = (AtomicU64::new(0), AtomicU64::new(0));
    let future = Box::pin(async {
        for _ in 0..300 {
            let mut guard = {
                let mut locking = pin!(lock.lock());
                let mut is_first = true;
                poll_fn(|cx| {
                    let poll = locking.as_mut().poll(cx);
                    if std::mem::take(&mut is_first) && poll.is_pending() {
                        waits.fetch_add(1, Ordering::Relaxed);
                    }
                    poll
                })
                .await
            };
            *guard += 1;
            tokio::task::yield_now().await;
        }
    });
    CountPolls { future, polls: &polls }.await;
    println!("locker {} {} {} 300", tokio::task::id(), polls.into_inner(), waits.into_inner());
}
