//! A program with the probe that permits control. It counts its polls itself. Each line on its standard input is a command,
//! which a thread answers that no pause stops.
//!
//! Usage: `controlled WORKERS hooks|spans|attribute|exhausted`, where 0 workers are a current-thread runtime, `attribute` is
//! `#[tokio::main]` with two workers, and `exhausted` is `hooks` without a free thread in the blocking pool. Commands:
//!
//! - `counts`: `NAME LINE POLLS` of each task, in one line, and of the blocking closure its steps so far. Tasks that `tokio`
//!   cannot name are known by the line that spawns them.
//! - `long`: the task `slow` is polled for 40 ms
//! - `deadlock`: two tasks wait for each other's lock
//! - `nest`: the task `nested` blocks on futures of its own
//! - `end`: the program ends

use std::future::Future;
use std::io::{BufRead, Write};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Barrier, Notify, mpsc};

/// A task that counts its polls.
struct CountedTask {
    name: String,
    line: u32,
    polls: Arc<AtomicU64>,
}

static TASKS: Mutex<Vec<CountedTask>> = Mutex::new(Vec::new());

/// Steps of the closure on the blocking pool.
static BLOCKING_STEPS: AtomicU64 = AtomicU64::new(0);

static IS_ENDING: AtomicBool = AtomicBool::new(false);

struct PollCounter<F> {
    future: Pin<Box<F>>,
    polls: Arc<AtomicU64>,
}

impl<F: Future> Future for PollCounter<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.polls.fetch_add(1, Ordering::SeqCst);
        self.future.as_mut().poll(cx)
    }
}

fn counted<F: Future>(future: F) -> (PollCounter<F>, Arc<AtomicU64>) {
    let polls = Arc::new(AtomicU64::new(0));
    (PollCounter { future: Box::pin(future), polls: polls.clone() }, polls)
}

fn register(name: &str, line: u32, polls: Arc<AtomicU64>) {
    TASKS.lock().expect("lock").push(CountedTask { name: name.to_owned(), line, polls });
}

/// Spawns a task as most programs do.
fn spawn_plain(name: &str, future: impl Future<Output = ()> + Send + 'static) {
    let (future, polls) = counted(future);
    register(name, 0, polls);
    drop(tokio::task::Builder::new().name(name).spawn(future).expect("spawns inside the runtime"));
}

/// Spawns a task that loopscope can hold and cancel.
#[track_caller]
fn spawn_controlled(name: &str, future: impl Future<Output = ()> + Send + 'static) {
    let (future, polls) = counted(future);
    register(name, std::panic::Location::caller().line(), polls);
    drop(loopscope_probe::spawn(future));
}

async fn tick() {
    loop {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Is polled for a long time once for each notification.
async fn be_slow(requests: Arc<Notify>) {
    loop {
        requests.notified().await;
        std::thread::sleep(Duration::from_millis(40));
        tokio::task::yield_now().await;
    }
}

/// Answers each byte with the same byte.
async fn echo(listener: tokio::net::TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut byte = [0];
        while stream.read_exact(&mut byte).await.is_ok() && stream.write_all(&byte).await.is_ok() {}
    }
}

/// Blocks on further futures in its polls, on this runtime and on another one.
async fn nest() {
    loop {
        tokio::time::sleep(Duration::from_millis(2)).await;
        tokio::task::block_in_place(|| {
            let runtime = tokio::runtime::Handle::current();
            runtime.block_on(tokio::task::yield_now());
            let mut builder = tokio::runtime::Builder::new_current_thread();
            let other = loopscope_probe::runtime(&mut builder).build().expect("a runtime");
            other.block_on(async { tokio::spawn(tokio::task::yield_now()).await.expect("completes") });
        });
    }
}

fn deadlock() {
    let locks = [Arc::new(tokio::sync::Mutex::new(())), Arc::new(tokio::sync::Mutex::new(()))];
    let barrier = Arc::new(Barrier::new(2));
    for me in [0, 1] {
        let (mine, other, barrier) = (locks[me].clone(), locks[1 - me].clone(), barrier.clone());
        spawn_plain(&format!("holder-{me}"), async move {
            let _mine = mine.lock().await;
            barrier.wait().await;
            let _other = other.lock().await;
        });
    }
}

async fn serve(mut commands: mpsc::UnboundedReceiver<String>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("port {}", listener.local_addr().expect("an address").port());
    let slow = Arc::new(Notify::new());
    spawn_controlled("ticker-0", tick());
    spawn_controlled("ticker-1", tick());
    (0..6).for_each(|number| spawn_plain(&format!("plain-{number}"), tick()));
    spawn_plain("slow", be_slow(slow.clone()));
    spawn_plain("echo", echo(listener));
    drop(tokio::task::spawn_blocking(|| {
        while !IS_ENDING.load(Ordering::SeqCst) {
            BLOCKING_STEPS.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(1));
        }
    }));
    println!("serving");
    while let Some(command) = commands.recv().await {
        match command.as_str() {
            "long" => slow.notify_one(),
            "deadlock" => deadlock(),
            "nest" => spawn_plain("nested", nest()),
            _ => break,
        }
    }
    IS_ENDING.store(true, Ordering::SeqCst);
}

/// The future of `block_on`, which counts its polls too.
async fn main_future(commands: mpsc::UnboundedReceiver<String>) {
    let (future, polls) = counted(serve(commands));
    register("main", 0, polls);
    future.await;
}

/// Answers and passes on the commands on standard input.
fn answer_commands(commands: mpsc::UnboundedSender<String>) {
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        if line == "counts" {
            let tasks = TASKS.lock().expect("lock");
            let polls =
                |task: &CountedTask| format!("{} {} {}", task.name, task.line, task.polls.load(Ordering::SeqCst));
            let mut words: Vec<String> = tasks.iter().map(polls).collect();
            words.push(format!("blocking 0 {}", BLOCKING_STEPS.load(Ordering::SeqCst)));
            println!("counts {}", words.join(" "));
        } else if commands.send(line).is_err() {
            return;
        }
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn with_attribute(commands: mpsc::UnboundedReceiver<String>) {
    main_future(commands).await;
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [workers, set_up] = arguments.as_slice() else { panic!("controlled WORKERS SET-UP") };
    let workers: usize = workers.parse().expect("a number of workers");
    // It must be permitted before loopscope is connected.
    let _probe = loopscope_probe::builder().allow_control().init();
    let (sender, commands) = mpsc::unbounded_channel();
    std::thread::spawn(move || answer_commands(sender));
    if set_up == "attribute" {
        with_attribute(commands);
    } else {
        let mut builder = match workers {
            0 => tokio::runtime::Builder::new_current_thread(),
            _ => tokio::runtime::Builder::new_multi_thread(),
        };
        if workers > 0 {
            builder.worker_threads(workers);
        }
        if set_up == "hooks" || set_up == "exhausted" {
            loopscope_probe::runtime(&mut builder);
        }
        if set_up == "exhausted" {
            builder.max_blocking_threads(1);
        }
        let runtime = builder.enable_all().build().expect("a runtime");
        runtime.block_on(main_future(commands));
        // A held task must not keep it from ending.
        drop(runtime);
    }
    println!("ended");
    std::io::stdout().flush().expect("standard output");
}
