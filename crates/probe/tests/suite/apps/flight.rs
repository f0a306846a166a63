//! A program with a flight recorder. It does what its standard input says, until that ends.

use std::io::BufRead;
use std::time::Duration;

use tokio::task::yield_now;

/// Runs with the paths `DUMP PANIC_DUMP` and room for this many KiB. Prints the ids of its tasks.
pub fn run(arguments: &str) {
    let arguments: Vec<_> = arguments.split(' ').collect();
    let [kib, dump, panic_dump] = arguments[..] else { panic!("{arguments:?}") };
    let bytes = kib.parse::<usize>().expect("number") << 10;
    let _probe =
        loopscope_probe::builder().flight_recorder(Duration::from_secs(3_600), bytes).dump_on_panic(panic_dump).init();
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = loopscope_probe::runtime(&mut builder).worker_threads(2).build().expect("runtime");
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("text");
        if line == "dump" {
            loopscope_probe::dump(dump).expect("dumped");
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
