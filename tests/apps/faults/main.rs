//! A small service on plain tokio with console-subscriber or loopscope-probe, healthy or with one injected fault. The tests
//! start it, or attach to it, and compare its findings.
//!
//! Usage: `faults MODE [--threads N] [--seconds N] [--probe]`. It prints `ready`, runs for that many seconds, and exits.

mod modes;

use std::io::Write;
use std::time::Duration;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str, default: usize| {
        let text = args.iter().position(|word| word == name).and_then(|at| args.get(at + 1));
        text.map_or(default, |text| text.parse().expect("a number"))
    };
    let mode = args.first().expect("faults MODE").clone();
    let (threads, seconds) = (number("--threads", 1), number("--seconds", 4));
    let mut builder = match threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    builder.worker_threads(threads).enable_all();
    // With two dispatchers alive, tracing decides under a lock which callsites are enabled.
    let _dispatchers = [(); 2].map(|()| tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default()));
    let probe = args.iter().any(|word| word == "--probe").then(loopscope_probe::init);
    match &probe {
        Some(_) => {
            loopscope_probe::runtime(&mut builder);
        }
        None => console_subscriber::init(),
    }
    builder.build().expect("build a runtime").block_on(async {
        modes::start(&mode);
        let mut out = std::io::stdout().lock();
        // Standard output may be closed.
        let _ = writeln!(out, "ready").and_then(|()| out.flush());
        drop(out);
        if mode == "lost-notify" {
            // No timer is pending: a thread ends the run.
            let (sender, ended) = tokio::sync::oneshot::channel();
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_secs(seconds as u64));
                let _ = sender.send(());
            });
            let _ = ended.await;
        } else {
            tokio::time::sleep(Duration::from_secs(seconds as u64)).await;
        }
    });
}
