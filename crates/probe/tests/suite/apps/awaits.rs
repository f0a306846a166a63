//! A task for each kind of await, and one that makes it wait.

use std::sync::Arc;
use std::time::Duration;

use loopscope_probe::AwaitAs;
use tokio::sync::{Barrier, Mutex, RwLock, Semaphore, mpsc, oneshot};
use tokio::task::yield_now;
use tokio::time::{interval, sleep};

/// Prints `await TASK` for each task, in the order in which `awaits.rs` of the tests expects them.
pub fn run() {
    let _probe = loopscope_probe::init();
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = loopscope_probe::runtime(&mut builder).enable_all().build().expect("runtime");
    runtime.block_on(async { tokio::spawn(all()).await.expect("awaits") });
}

async fn all() {
    let mutex = Arc::new(Mutex::new(()));
    let guard = mutex.lock().await;
    let task = tokio::spawn({
        let mutex = mutex.clone();
        async move { drop(mutex.lock().await) }
    });
    println!("await {}", task.id());
    yield_now().await;
    drop(guard);
    task.await.expect("locked");

    let lock = Arc::new(RwLock::new(()));
    let guard = lock.read().await;
    let task = tokio::spawn({
        let lock = lock.clone();
        async move { drop(lock.write().await) }
    });
    println!("await {}", task.id());
    yield_now().await;
    drop(guard);
    task.await.expect("written");

    let semaphore = Arc::new(Semaphore::new(1));
    let permit = semaphore.acquire().await.expect("open");
    let task = tokio::spawn({
        let semaphore = semaphore.clone();
        async move { drop(semaphore.acquire().await) }
    });
    println!("await {}", task.id());
    yield_now().await;
    drop(permit);
    task.await.expect("acquired");

    let barrier = Arc::new(Barrier::new(2));
    let task = tokio::spawn({
        let barrier = barrier.clone();
        async move { barrier.wait().await.is_leader() }
    });
    println!("await {}", task.id());
    yield_now().await;
    barrier.wait().await;
    task.await.expect("passed");

    let (sender, receiver) = oneshot::channel();
    let task = tokio::spawn(receiver);
    println!("await {}", task.id());
    yield_now().await;
    sender.send(()).expect("receiver");
    task.await.expect("received").expect("value");

    let task = tokio::spawn(sleep(Duration::from_millis(5)));
    println!("await {}", task.id());
    task.await.expect("slept");

    let task = tokio::spawn(async { interval(Duration::from_millis(5)).tick().await });
    println!("await {}", task.id());
    task.await.expect("ticked");

    let (sender, mut receiver) = mpsc::channel(1);
    let task = tokio::spawn(async move { receiver.recv().await_as("receive order").await });
    println!("await {}", task.id());
    yield_now().await;
    sender.send("order").await.expect("receiver");
    task.await.expect("received").expect("order");

    // Cancelled while it waits.
    let guard = mutex.lock().await;
    let task = tokio::spawn({
        let mutex = mutex.clone();
        async move { drop(mutex.lock().await) }
    });
    println!("await {}", task.id());
    yield_now().await;
    task.abort();
    drop(task.await);
    drop(guard);
}
