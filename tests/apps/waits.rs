//! An app whose tasks wait in known ways: plain tokio with console-subscriber and no loopscope code.
//!
//! Usage: `waits MODE [WORKERS]`. Without `WORKERS`, or with 0, it runs on a current-thread runtime.
//!
//! The app prints `ready` once all of its tasks wait, or have ended. It exits at the end of standard input.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Barrier, Mutex, Notify, RwLock, Semaphore, mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet, yield_now};
use tokio::time::{interval, sleep, timeout};

const TICK: Duration = Duration::from_millis(10);

/// A time that no test waits for.
const FOREVER: Duration = Duration::from_secs(1_000);

fn spawn<F>(name: &str, future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    tokio::task::Builder::new().name(name).spawn(future).expect("spawn inside the runtime")
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mode = args.first().expect("waits MODE [WORKERS]").clone();
    let workers = args.get(1).map_or(0, |text| text.parse().expect("a number"));
    // With two dispatchers alive, tracing decides about callsites under a lock.
    let _dispatchers = [(); 2].map(|()| tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default()));
    console_subscriber::init();
    if mode == "no-tasks" {
        // Its console runs on a thread of its own, and reports no tasks of itself.
        println!("ready");
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        return;
    }
    let runtime = match workers {
        0 => tokio::runtime::Builder::new_current_thread().enable_all().build(),
        workers => tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build(),
    };
    runtime.expect("build a runtime").block_on(async {
        let (ended, mut has_ended) = mpsc::unbounded_channel::<()>();
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
            drop(ended);
        });
        match mode.as_str() {
            "deadlock" => deadlock().await,
            "sleeps" => sleeps().await,
            "locks" => locks().await,
            "interval" => interval_client().await,
            "oneshot" => oneshot_waiter().await,
            "blocking-lock" => blocking_lock().await,
            "timeout-lock" => lock_with_timeout().await,
            "join" => join().await,
            "lost-locks" => lost_locks().await,
            "lost-channels" => lost_channels().await,
            "timed-out-lock" => timed_out_lock().await,
            "ends" => ends().await,
            "block-in-place" => block_in_place().await,
            "unawaited" => unawaited_blocking().await,
            "closure" => blocking_closure().await,
            other => panic!("unknown mode `{other}`"),
        }
        println!("ready");
        has_ended.recv().await;
    });
}

/// Two tasks that wait for each other's mutex, and 40 that wait for the first of them.
async fn deadlock() {
    let (left, right) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(())));
    let both = Arc::new(Barrier::new(3));
    for (name, first, second) in [("one", &left, &right), ("two", &right, &left)] {
        let (first, second, both) = (first.clone(), second.clone(), both.clone());
        spawn(name, async move {
            let _first = first.lock().await;
            both.wait().await;
            let _second = second.lock().await;
        });
    }
    both.wait().await;
    for index in 0..40 {
        let lock = left.clone();
        spawn(&format!("waiter-{index}"), async move {
            let _held = lock.lock().await;
        });
    }
    sleep(TICK).await;
}

/// Four tasks that sleep and compute in turn.
async fn sleeps() {
    let mut tasks = JoinSet::new();
    for index in 0..4 {
        let sleeper = async {
            for _ in 0..30 {
                sleep(TICK / 2).await;
                std::thread::sleep(Duration::from_millis(3));
            }
        };
        tasks.build_task().name(&format!("sleeper-{index}")).spawn(sleeper).expect("spawn inside the runtime");
    }
    tasks.join_all().await;
}

/// Tasks that use each of tokio's own locks 50 times, with work in between.
async fn locks() {
    let (mutex, lock, permits) = (Arc::new(Mutex::new(0)), Arc::new(RwLock::new(0)), Arc::new(Semaphore::new(2)));
    let mut tasks = JoinSet::new();
    for index in 0..6 {
        let (mutex, lock, permits) = (mutex.clone(), lock.clone(), permits.clone());
        let user = async move {
            for _ in 0..50 {
                *mutex.lock().await += 1;
                yield_now().await;
                let _permit = permits.acquire().await;
                std::thread::sleep(Duration::from_micros(200));
                *lock.write().await += 1;
                yield_now().await;
                let _read = lock.read().await;
                sleep(Duration::from_millis(1)).await;
            }
        };
        tasks.build_task().name(&format!("user-{index}")).spawn(user).expect("spawn inside the runtime");
    }
    tasks.join_all().await;
}

/// A task that keeps an interval while it waits for a message.
async fn interval_client() {
    let (sender, mut receiver) = mpsc::channel::<()>(1);
    let ticked = Arc::new(Notify::new());
    let client = ticked.clone();
    spawn("client", async move {
        let _sender = sender;
        let mut ticks = interval(TICK);
        for _ in 0..4 {
            ticks.tick().await;
        }
        client.notify_one();
        receiver.recv().await;
        drop(ticks);
    });
    ticked.notified().await;
    sleep(TICK).await;
}

/// A task that makes a channel, and another one that waits for it.
async fn oneshot_waiter() {
    let (receivers, mut channels) = mpsc::unbounded_channel::<oneshot::Receiver<()>>();
    let waiting = Arc::new(Notify::new());
    let waiter = waiting.clone();
    spawn("waiter", async move {
        let receiver = channels.recv().await.expect("the maker sends it");
        waiter.notify_one();
        let _ = receiver.await;
    });
    spawn("maker", async move {
        let (_sender, receiver) = oneshot::channel();
        receivers.send(receiver).expect("the waiter receives it");
        std::future::pending::<()>().await;
    });
    waiting.notified().await;
    sleep(TICK).await;
}

/// A closure that waits for a mutex.
async fn blocking_lock() {
    let lock = Arc::new(Mutex::new(()));
    let held = lock.clone().lock_owned().await;
    let closure = lock.clone();
    tokio::task::Builder::new()
        .name("closure")
        .spawn_blocking(move || drop(closure.blocking_lock()))
        .expect("spawn inside the runtime");
    sleep(TICK).await;
    std::mem::forget(held);
}

/// A task that waits for a mutex with a timeout.
async fn lock_with_timeout() {
    let lock = Arc::new(Mutex::new(()));
    std::mem::forget(lock.clone().lock_owned().await);
    spawn("patient", async move { timeout(FOREVER, lock.lock()).await.is_ok() });
    sleep(TICK).await;
}

/// A task that waits for a semaphore, a oneshot and a sleep together.
async fn join() {
    let permits = Arc::new(Semaphore::new(0));
    let (sender, receiver) = oneshot::channel::<()>();
    std::mem::forget(sender);
    spawn("joiner", async move {
        let acquired = async { permits.acquire().await.is_ok() };
        let _ = tokio::join!(sleep(FOREVER), receiver, acquired);
    });
    sleep(TICK).await;
}

/// 20 attempts to lock that end by a timeout, and 20 that lose a `select!`.
async fn lost_locks() {
    let lock = Arc::new(Mutex::new(()));
    std::mem::forget(lock.clone().lock_owned().await);
    let loser = lock.clone();
    let timed_out = spawn("timed-out", async move {
        for _ in 0..20 {
            let _ = timeout(Duration::from_millis(2), lock.lock()).await;
        }
    });
    let lost = spawn("lost", async move {
        for _ in 0..20 {
            let _is_locked = tokio::select! {
                _held = loser.lock() => true,
                () = yield_now() => false,
            };
        }
    });
    timed_out.await.expect("it does not panic");
    lost.await.expect("it does not panic");
}

/// Waits for oneshot channels and barriers: 20 of each that end by a timeout, 20 that lose a `select!`, and 20 that are
/// ready.
async fn lost_channels() {
    // By then the console is connected.
    sleep(TICK * 20).await;
    let timed_out = spawn("timed-out", async {
        for _ in 0..20 {
            let (_sender, receiver) = oneshot::channel::<()>();
            let _ = timeout(Duration::from_millis(2), receiver).await;
            let barrier = Barrier::new(2);
            let _ = timeout(Duration::from_millis(2), barrier.wait()).await;
        }
    });
    let lost = spawn("lost", async {
        for _ in 0..20 {
            let ((_sender, receiver), barrier) = (oneshot::channel::<()>(), Barrier::new(2));
            let _is_received = tokio::select! {
                _received = receiver => true,
                () = yield_now() => false,
            };
            let _is_met = tokio::select! {
                _met = barrier.wait() => true,
                () = yield_now() => false,
            };
        }
    });
    let barrier = Arc::new(Barrier::new(2));
    let (senders, mut received) = mpsc::unbounded_channel::<oneshot::Sender<()>>();
    let partner = barrier.clone();
    let sends = spawn("sends", async move {
        while let Some(sender) = received.recv().await {
            sleep(Duration::from_millis(1)).await;
            let _ = sender.send(());
            partner.wait().await;
        }
    });
    let ready = spawn("ready", async move {
        for _ in 0..20 {
            let (sender, receiver) = oneshot::channel::<()>();
            senders.send(sender).expect("the partner receives it");
            receiver.await.expect("the partner sends");
            barrier.wait().await;
        }
    });
    for task in [timed_out, lost, sends, ready] {
        task.await.expect("it does not panic");
    }
}

/// A task that gives up one lock and then waits for another, which looks like a deadlock if the first counts as held.
async fn timed_out_lock() {
    // By then the console is connected.
    sleep(TICK * 20).await;
    let (a, c) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(())));
    let (holds_a, holds_c, gave_up) = (Arc::new(Notify::new()), Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (lock, holding) = (a.clone(), holds_a.clone());
    spawn("holder", async move {
        let _held = lock.lock().await;
        holding.notify_one();
        sleep(FOREVER).await;
    });
    holds_a.notified().await;
    let (first, second, holding, giving_up) = (c.clone(), a.clone(), holds_c.clone(), gave_up.clone());
    spawn("x", async move {
        let _held = first.lock().await;
        holding.notify_one();
        giving_up.notified().await;
        let _held = second.lock().await;
    });
    holds_c.notified().await;
    spawn("s", async move {
        drop(timeout(TICK, a.lock()).await);
        gave_up.notify_one();
        let _held = c.lock().await;
    });
    sleep(TICK * 5).await;
}

/// Tasks that complete, panic, and are aborted before their first poll and while they wait.
async fn ends() {
    tokio::task::spawn_blocking(|| ()).await.expect("it does not panic");
    let completed = spawn("completed", async { sleep(TICK).await });
    let panicked = spawn("panicked", async {
        sleep(TICK).await;
        panic!("on purpose");
    });
    let waiting = spawn("aborted", std::future::pending::<()>());
    sleep(TICK * 2).await;
    let unpolled = spawn("unpolled", std::future::pending::<()>());
    unpolled.abort();
    waiting.abort();
    for task in [completed, panicked, unpolled, waiting] {
        let _ = task.await;
    }
}

/// A task that blocks in place and ends, on a runtime with workers.
async fn block_in_place() {
    let blocker = spawn("blocker", async {
        sleep(TICK).await;
        tokio::task::block_in_place(|| std::thread::sleep(TICK));
        sleep(TICK).await;
    });
    blocker.await.expect("it does not panic");
}

/// A task that ends before the blocking work that it started.
async fn unawaited_blocking() {
    let starter = spawn("starter", async {
        sleep(TICK).await;
        drop(tokio::task::spawn_blocking(|| std::thread::sleep(TICK * 100)));
    });
    starter.await.expect("it does not panic");
}

/// A closure on the blocking pool that runs for a while.
async fn blocking_closure() {
    let (started, mut has_started) = mpsc::channel(1);
    tokio::task::Builder::new()
        .name("closure")
        .spawn_blocking(move || {
            started.blocking_send(()).expect("main receives it");
            std::thread::sleep(TICK * 100);
        })
        .expect("spawn inside the runtime");
    has_started.recv().await;
}
