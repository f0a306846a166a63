//! The modes: a healthy service, and faults that are added to it.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, Notify, Semaphore, mpsc, oneshot};
use tokio::time::{interval, sleep, timeout};

const MILLISECOND: Duration = Duration::from_millis(1);

type Request = (u64, oneshot::Sender<u64>);

/// Starts the tasks of `mode`. All but a few run the healthy service too.
pub fn start(mode: &str) {
    if !matches!(mode, "lost-notify" | "deadlock-only") {
        healthy();
    }
    match mode {
        "healthy" => {}
        "yield-spin" => spawn(async {
            loop {
                tokio::task::yield_now().await;
            }
        }),
        "wake-spin" => spawn(poll_fn(|context| {
            context.waker().wake_by_ref();
            Poll::Pending
        })),
        "lost-waker" => spawn(poll_fn(|_| Poll::Pending)),
        "lost-notify" => lost_notify(),
        "back-pressure" => back_pressure(),
        "panic" => drop(tokio::task::Builder::new().name("panicker").spawn(async {
            sleep(300 * MILLISECOND).await;
            panic!("on purpose");
        })),
        "retry-storm" => retry_storm(),
        "block-in-place" => spawn(async {
            loop {
                tokio::task::block_in_place(|| std::thread::sleep(300 * MILLISECOND));
                sleep(50 * MILLISECOND).await;
            }
        }),
        "sleep-in-handler" => sleep_in_handler(),
        "cpu-hog" => cpu_hog(),
        "leak" => leak(),
        "deadlock" | "deadlock-only" => deadlock(),
        "lock-across-await" => lock_across_await(),
        "huge-future" => spawn(async {
            let buffer = [0_u8; 40_000];
            sleep(Duration::from_secs(600)).await;
            std::hint::black_box(&buffer);
        }),
        other => panic!("unknown mode `{other}`"),
    }
}

fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    drop(tokio::spawn(future));
}

/// Clients, a pool of workers that share a receiver, a cache behind a lock, a limit of connections, and timers.
fn healthy() {
    let (requests, received) = mpsc::channel::<Request>(64);
    let received = Arc::new(Mutex::new(received));
    let cache = Arc::new(Mutex::new(VecDeque::new()));
    let limit = Arc::new(Semaphore::new(3));
    for _ in 0..4 {
        let (received, cache) = (received.clone(), cache.clone());
        spawn(async move {
            loop {
                // The owner of this lock waits for a request.
                let request = received.lock().await.recv().await;
                let Some((value, answer)) = request else { return };
                sleep(2 * MILLISECOND).await;
                let mut cache = cache.lock().await;
                cache.push_back(value);
                if cache.len() > 100 {
                    cache.pop_front();
                }
                drop(cache);
                let _ = answer.send(value + 1);
            }
        });
    }
    for client in 0..8_u32 {
        let (requests, limit) = (requests.clone(), limit.clone());
        spawn(async move {
            for number in 0_u64.. {
                let permit = limit.acquire().await.expect("the semaphore stays open");
                let (answer, answered) = oneshot::channel();
                if requests.send((number, answer)).await.is_err() {
                    return;
                }
                let _ = timeout(Duration::from_secs(5), answered).await;
                drop(permit);
                sleep((10 + 3 * client) * MILLISECOND).await;
            }
        });
    }
    // A connection that has nothing to do, and a job for each beat.
    let (idle_sender, mut idle) = mpsc::unbounded_channel::<()>();
    spawn(async move { while idle.recv().await.is_some() {} });
    spawn(async move {
        let _connection = idle_sender;
        let mut beat = interval(100 * MILLISECOND);
        loop {
            beat.tick().await;
            let job = tokio::spawn(async {
                sleep(5 * MILLISECOND).await;
                (0..1_000_u64).sum::<u64>()
            });
            let _ = job.await;
        }
    });
}

/// A consumer that checks a condition, is notified in between, and then waits for the signal that it missed.
fn lost_notify() {
    let signal = Arc::new(Notify::new());
    let notifier = signal.clone();
    spawn(async move { notifier.notify_waiters() });
    spawn(async move {
        sleep(10 * MILLISECOND).await;
        signal.notified().await;
    });
}

fn back_pressure() {
    let (sender, mut receiver) = mpsc::channel(2);
    spawn(async move { while sender.send(0).await.is_ok() {} });
    spawn(async move {
        while receiver.recv().await.is_some() {
            sleep(20 * MILLISECOND).await;
        }
    });
}

/// Each request is tried again at once, in a task of its own, for as long as it fails.
fn retry_storm() {
    spawn(async {
        loop {
            for _ in 0..4 {
                let _ = tokio::spawn(async { Err::<(), &str>("refused") }).await;
            }
            sleep(MILLISECOND).await;
        }
    });
}

fn sleep_in_handler() {
    for _ in 0..8 {
        spawn(async {
            loop {
                sleep(400 * MILLISECOND).await;
                std::thread::sleep(150 * MILLISECOND);
            }
        });
    }
}

/// A task that computes for 300 ms between two sleeps.
fn cpu_hog() {
    spawn(async {
        loop {
            sleep(200 * MILLISECOND).await;
            let began = Instant::now();
            let mut sum = 0_u64;
            while began.elapsed() < 300 * MILLISECOND {
                sum = (0..1_000).fold(sum, u64::wrapping_add);
            }
            std::hint::black_box(sum);
        }
    });
}

fn leak() {
    spawn(async {
        loop {
            sleep(40 * MILLISECOND).await;
            spawn(async {
                sleep(Duration::from_secs(3_600)).await;
            });
        }
    });
}

fn deadlock() {
    let locks = [Arc::new(Mutex::new(())), Arc::new(Mutex::new(()))];
    for (first, second) in [(0, 1), (1, 0)] {
        let (first, second) = (locks[first].clone(), locks[second].clone());
        spawn(async move {
            let _first = first.lock().await;
            sleep(50 * MILLISECOND).await;
            let _second = second.lock().await;
        });
    }
}

fn lock_across_await() {
    let lock = Arc::new(Mutex::new(()));
    for _ in 0..4 {
        let lock = lock.clone();
        spawn(async move {
            loop {
                let held = lock.lock().await;
                sleep(20 * MILLISECOND).await;
                drop(held);
                sleep(MILLISECOND).await;
            }
        });
    }
}
