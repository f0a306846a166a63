//! A program that does what its standard input says, until that ends.

use std::future::pending;
use std::io::BufRead;
use std::sync::Arc;

use tokio::sync::Mutex;

/// The shortest secret that is accepted.
pub const SECRET: &str = "0123456789abcdef";

/// Prints `ready`, then `done` or `cancelled` after each line `yield COUNT`.
pub fn run(arguments: &str) {
    let probe = match arguments {
        "controlled" | "controlled-without-hooks" => loopscope_probe::init().allow_control(),
        "tcp" => loopscope_probe::builder().listen_tcp("127.0.0.1:0", SECRET).init(),
        "controlled-tcp" => loopscope_probe::builder().listen_tcp("127.0.0.1:0", SECRET).allow_control().init(),
        "short-secret" => loopscope_probe::builder().listen_tcp("127.0.0.1:0", &SECRET[1..]).init(),
        "small" => loopscope_probe::builder().memory_limit(1 << 20).init(),
        _ => loopscope_probe::init(),
    };
    if let Some(problem) = probe.problem() {
        println!("problem {problem}");
    }
    if let Some(address) = probe.tcp_address() {
        println!("tcp {address}");
    }
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if arguments != "controlled-without-hooks" {
        loopscope_probe::runtime(&mut builder);
    }
    let runtime = builder.worker_threads(2).enable_all().build().expect("runtime");
    let mutex = Arc::new(Mutex::new(()));
    let sleeper = tokio::task::Builder::new().name("sleeper").spawn_on(pending::<()>(), runtime.handle());
    println!("sleeper {}", sleeper.expect("runtime").id());
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("text");
        let count: u64 = line.strip_prefix("yield ").expect("command").parse().expect("number");
        let _entered = runtime.enter();
        let task = loopscope_probe::spawn(async move {
            for _ in 0..count {
                tokio::task::yield_now().await;
            }
        });
        println!("yielding {}", task.id());
        let result = runtime.block_on(task);
        println!("{}", if result.is_ok() { "done" } else { "cancelled" });
    }
    drop(mutex);
}
