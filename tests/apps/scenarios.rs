//! The scenarios of the example app. Each has a few tasks that use one primitive of tokio.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Barrier, Mutex, Notify, RwLock, Semaphore, broadcast, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::counted::AppCounts;

const TICK: Duration = Duration::from_millis(10);

type TaskHandles = Vec<JoinHandle<()>>;

/// Starts the scenario called `name`. `tasks` is the number of tasks, for scenarios of variable size.
pub fn start(name: &str, counts: &AppCounts, tasks: usize) -> TaskHandles {
    match name {
        "mutex" => mutex(counts),
        "rwlock" => rwlock(counts),
        "semaphore" => semaphore(counts),
        "barrier" => barrier(counts),
        "channels" => channels(counts),
        "sleeps" => sleeps(counts, tasks),
        "blocking" => blocking(counts),
        "self-waker" => self_waker(counts),
        "stuck" => stuck(counts),
        "quits" => quits(counts),
        "mixed" => {
            [mutex, rwlock, semaphore, barrier, channels, self_waker].iter().flat_map(|start| start(counts)).collect()
        }
        "panics" => panics(),
        "nothing" => Vec::new(),
        other => panic!("unknown scenario `{other}`"),
    }
}

fn mutex(counts: &AppCounts) -> TaskHandles {
    let lock = Arc::new(Mutex::new(0_u64));
    let task = |index: usize| {
        let lock = lock.clone();
        counts.spawn(&format!("locker-{index}"), async move {
            loop {
                let mut held = lock.lock().await;
                *held += 1;
                sleep(TICK).await;
            }
        })
    };
    (0..3).map(task).collect()
}

fn rwlock(counts: &AppCounts) -> TaskHandles {
    let lock = Arc::new(RwLock::new(0_u64));
    let task = |index: usize| {
        let lock = lock.clone();
        counts.spawn(&format!("reader-{index}"), async move {
            loop {
                let held = lock.read().await;
                sleep(TICK).await;
                drop(held);
                sleep(TICK).await;
            }
        })
    };
    let mut tasks: TaskHandles = (0..3).map(task).collect();
    tasks.push(counts.spawn("writer", async move {
        loop {
            *lock.write().await += 1;
            sleep(TICK).await;
        }
    }));
    tasks
}

fn semaphore(counts: &AppCounts) -> TaskHandles {
    let permits = Arc::new(Semaphore::new(2));
    let task = |index: usize| {
        let permits = permits.clone();
        counts.spawn(&format!("worker-{index}"), async move {
            loop {
                let permit = permits.acquire().await;
                sleep(TICK).await;
                drop(permit);
            }
        })
    };
    (0..4).map(task).collect()
}

fn barrier(counts: &AppCounts) -> TaskHandles {
    let barrier = Arc::new(Barrier::new(3));
    let task = |index: usize| {
        let barrier = barrier.clone();
        counts.spawn(&format!("runner-{index}"), async move {
            loop {
                sleep(TICK * (1 + u32::try_from(index).unwrap_or(0))).await;
                barrier.wait().await;
            }
        })
    };
    (0..3).map(task).collect()
}

fn channels(counts: &AppCounts) -> TaskHandles {
    let (values, mut received) = mpsc::channel(4);
    let (news, mut broadcasts) = broadcast::channel(4);
    let (state, mut seen) = watch::channel(0_u64);
    let (questions, mut questions_received) = mpsc::unbounded_channel::<oneshot::Sender<u64>>();
    vec![
        counts.spawn("producer", async move {
            for value in 0_u64.. {
                if values.send(value).await.is_err() || news.send(value).is_err() || state.send(value).is_err() {
                    return;
                }
            }
        }),
        counts.spawn("consumer", async move {
            while received.recv().await.is_some() {
                sleep(TICK).await;
            }
        }),
        counts.spawn("listener", async move {
            // Lagging is not an error here.
            while !matches!(broadcasts.recv().await, Err(RecvError::Closed)) {}
        }),
        counts.spawn("watcher", async move { while seen.changed().await.is_ok() {} }),
        counts.spawn("asker", async move {
            loop {
                let (answer, answered) = oneshot::channel();
                if questions.send(answer).is_err() || answered.await.is_err() {
                    return;
                }
                sleep(TICK).await;
            }
        }),
        counts.spawn("answerer", async move {
            while let Some(question) = questions_received.recv().await {
                let _ = question.send(42);
            }
        }),
    ]
}

fn sleeps(counts: &AppCounts, tasks: usize) -> TaskHandles {
    let task = |index: usize| {
        counts.spawn(&format!("sleeper-{index}"), async {
            loop {
                sleep(TICK * 10).await;
            }
        })
    };
    (0..tasks).map(task).collect()
}

fn blocking(counts: &AppCounts) -> TaskHandles {
    let blocker = counts.spawn("blocker", async {
        loop {
            std::thread::sleep(TICK * 20);
            sleep(TICK).await;
        }
    });
    let pool = counts.spawn("pool-user", async {
        loop {
            let _ = tokio::task::spawn_blocking(|| std::thread::sleep(TICK)).await;
        }
    });
    vec![blocker, pool]
}

fn self_waker(counts: &AppCounts) -> TaskHandles {
    vec![counts.spawn("self-waker", async {
        loop {
            // Wake the task within its own poll, like `yield_now`.
            std::future::poll_fn({
                let mut again = true;
                move |context: &mut std::task::Context<'_>| {
                    if std::mem::take(&mut again) {
                        context.waker().wake_by_ref();
                        std::task::Poll::Pending
                    } else {
                        std::task::Poll::Ready(())
                    }
                }
            })
            .await;
            sleep(TICK).await;
        }
    })]
}

/// Two deadlocked tasks that wait for each other's lock, and one that waits for a signal that is never sent.
fn stuck(counts: &AppCounts) -> TaskHandles {
    let (left, right, signal) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(())), Arc::new(Notify::new()));
    let cross = |name: &str, first: &Arc<Mutex<()>>, second: &Arc<Mutex<()>>| {
        let (first, second) = (first.clone(), second.clone());
        counts.spawn(name, async move {
            let _first = first.lock().await;
            sleep(TICK).await;
            let _second = second.lock().await;
        })
    };
    vec![
        cross("philosopher-1", &left, &right),
        cross("philosopher-2", &right, &left),
        counts.spawn("unsignalled", async move { signal.notified().await }),
    ]
}

/// A task that panics, which is reported only on standard error.
fn panics() -> TaskHandles {
    drop(tokio::task::Builder::new().name("panicker").spawn(async {
        sleep(TICK).await;
        panic!("on purpose");
    }));
    Vec::new()
}

fn quits(counts: &AppCounts) -> TaskHandles {
    let task = |index: usize| {
        counts.spawn(&format!("short-{index}"), async {
            for _ in 0..20 {
                sleep(TICK).await;
            }
        })
    };
    (0..5).map(task).collect()
}
