//! A program with the probe, for the suite to observe. It counts what it does and prints the counts.
//!
//! Usage: `probed load|deadlock|queues|serve WORKERS hooks|spans`, where 0 workers are a current-thread runtime.

use std::future::{Future, poll_fn};
use std::io::Write;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinHandle;

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

fn spawn<F>(name: &str, future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    tokio::task::Builder::new().name(name).spawn(future).expect("spawns inside the runtime")
}

/// Plays between two tasks, which wake each other and, at times, themselves.
async fn rally(pair: usize) {
    let mailboxes = Arc::new([Mailbox::default(), Mailbox::default()]);
    let players = [0, 1].map(|me| {
        let mailboxes = mailboxes.clone();
        spawn(&format!("player-{pair}-{me}"), async move {
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
            polls.into_inner()
        })
    });
    for (me, (player, mailbox)) in players.into_iter().zip(&*mailboxes).enumerate() {
        let polls = player.await.expect("player");
        println!("task player-{pair}-{me} {polls} {}", mailbox.wakes.load(Ordering::Relaxed));
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
async fn contend(number: usize, lock: Arc<Mutex<u64>>) {
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
    println!("locker locker-{number} {} {}", polls.into_inner(), waits.into_inner());
}

async fn load() {
    let pairs: Vec<_> = (0..20).map(|pair| spawn(&format!("pair-{pair}"), rally(pair))).collect();
    let lock = Arc::new(Mutex::new(0));
    let lockers: Vec<_> =
        (0..20).map(|number| spawn(&format!("locker-{number}"), contend(number, lock.clone()))).collect();
    let cancelled = spawn("cancelled", std::future::pending::<()>());
    let panicked = spawn("panicked", async { panic!("on purpose") });
    let blocking = tokio::task::spawn_blocking(|| 7);
    for task in pairs.into_iter().chain(lockers) {
        task.await.expect("a task of the load");
    }
    // It has been polled once.
    tokio::time::sleep(Duration::from_millis(20)).await;
    cancelled.abort();
    assert!(cancelled.await.expect_err("aborted").is_cancelled());
    assert!(panicked.await.expect_err("panicked").is_panic());
    assert_eq!(blocking.await.expect("completed"), 7);
}

/// Two tasks hold a lock each and wait for the other's; 20 more tasks wait for each lock.
async fn deadlock() {
    let locks = [Arc::new(Mutex::new(())), Arc::new(Mutex::new(()))];
    let barrier = Arc::new(tokio::sync::Barrier::new(2));
    for me in [0, 1] {
        let (mine, other, barrier) = (locks[me].clone(), locks[1 - me].clone(), barrier.clone());
        drop(spawn(&format!("holder-{me}"), async move {
            let _mine = mine.lock().await;
            barrier.wait().await;
            let _other = other.lock().await;
        }));
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    for number in 0..40 {
        let lock = locks[number % 2].clone();
        drop(spawn(&format!("waiter-{number}"), async move {
            let _guard = lock.lock().await;
        }));
    }
    println!("stuck");
    std::future::pending::<()>().await;
}

/// Blocks the only worker until a line arrives on standard input. Meanwhile 20 tasks wait that the worker has spawned,
/// and 7 that another thread has spawned. Then `main` spawns 5, blocks likewise and ends.
async fn queues() {
    let blocker = spawn("blocker", async {
        for _ in 0..20 {
            tokio::spawn(async {});
        }
        let handle = tokio::runtime::Handle::current();
        let outside = std::thread::spawn(move || (0..7).for_each(|_| drop(handle.spawn(async {}))));
        outside.join().expect("a thread that spawns");
        println!("blocked");
        std::io::stdin().read_line(&mut String::new()).expect("a line");
    });
    blocker.await.expect("the task that blocks");
    for _ in 0..5 {
        tokio::spawn(async {});
    }
    println!("blocked again");
    std::io::stdin().read_line(&mut String::new()).expect("a line");
}

/// Works a little, forever.
async fn serve() {
    for number in 0..10 {
        drop(spawn(&format!("worker-{number}"), async {
            loop {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }));
    }
    let idle = spawn("idle", std::future::pending::<()>());
    println!("serving");
    let _ = idle.await;
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [scenario, workers, hooks] = arguments.as_slice() else { panic!("probed SCENARIO WORKERS hooks|spans") };
    let workers: usize = workers.parse().expect("a number of workers");
    let recorder = std::env::var_os("PROBED_RECORDER").is_some();
    let builder = loopscope_probe::builder();
    let builder = if recorder { builder.flight_recorder(Duration::from_secs(5), 16 << 20) } else { builder };
    let probe = builder.init();
    if let Some(address) = probe.tcp_address() {
        println!("tcp {address}");
    }
    let mut builder = match workers {
        0 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    if workers > 0 {
        builder.worker_threads(workers);
    }
    if hooks == "hooks" {
        loopscope_probe::runtime(&mut builder);
    }
    let runtime = builder.enable_all().build().expect("a runtime");
    match scenario.as_str() {
        "load" => runtime.block_on(load()),
        "deadlock" => runtime.block_on(deadlock()),
        "queues" => runtime.block_on(queues()),
        "serve" => runtime.block_on(serve()),
        other => panic!("unknown scenario `{other}`"),
    }
    std::io::stdout().flush().expect("standard output");
}
