//! A program with a flight recorder. It does what its standard input says, until that ends.

use std::io::BufRead;
use std::time::Duration;

use tokio::task::yield_now;

/// Runs with the paths `DUMP PANIC_DUMP`, room for this many KiB, and the signal that asks for a file in a folder. Prints
/// the ids of its tasks.
pub fn run(arguments: &str) {
    let arguments: Vec<_> = arguments.split(' ').collect();
    let [kib, dump, panic_dump, signal, folder] = arguments[..] else { panic!("{arguments:?}") };
    let bytes = kib.parse::<usize>().expect("number") << 10;
    let probe = loopscope_probe::builder()
        .flight_recorder(Duration::from_secs(3_600), bytes)
        .dump_on_panic(panic_dump)
        .dump_on_signal(signal.parse().expect("number"), folder)
        .init();
    if let Some(problem) = probe.problem() {
        println!("problem {problem}");
    }
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = loopscope_probe::runtime(&mut builder).worker_threads(2).build().expect("runtime");
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("text");
        if line == "dump" {
            loopscope_probe::dump(dump).expect("dumped");
        } else if line == "block" {
            block(&runtime);
        } else if line == "panic" {
            let task = runtime.spawn(async { panic!("on purpose") });
            println!("task {}", task.id());
            runtime.block_on(task).expect_err("panicked");
        } else {
            let count: u64 = line.parse().expect("number");
            let task = runtime.spawn(async move {
                for _ in 1..count {
                    yield_now().await;
                }
            });
            println!("task {} {count}", task.id());
            runtime.block_on(task).expect("yielded");
        }
        println!("done");
    }
}

/// Blocks every worker and this thread for ever.
fn block(runtime: &tokio::runtime::Runtime) {
    let (sender, blocked) = std::sync::mpsc::channel();
    for _ in 0..2 {
        let sender = sender.clone();
        runtime.spawn(async move {
            sender.send(()).expect("main waits");
            park_for_ever();
        });
    }
    (0..2).for_each(|_| blocked.recv().expect("a blocked worker"));
    println!("done");
    runtime.block_on(async { park_for_ever() });
}

fn park_for_ever() {
    loop {
        std::thread::park();
    }
}
