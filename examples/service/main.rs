//! A small web service with loopscope-probe, for trying out `loopscope attach`.
//!
//! ```text
//! cargo run --release --example service -- --load 8     the service, and eight clients that keep it busy
//! loopscope attach                                      in another terminal
//! ```

mod clients;
mod server;

use std::net::{Ipv4Addr, TcpListener};
use std::process::ExitCode;
use std::time::Duration;

use loopscope_probe::AwaitAs;

/// What `--help` prints.
const HELP: &str = "\
A small web service with loopscope-probe.

Usage: service [OPTIONS]

  --port N      TCP port on 127.0.0.1 [default: 8080; 0 for any]
  --workers N   worker threads of the runtime [default: 2]
  --load N      clients in this process that send requests without a pause [default: 0]
  --seconds N   exit after this time
  --control     permit loopscope to pause and step the service
";

/// Names the awaits that tokio does not report.
#[track_caller]
fn named<F: Future>(future: F, name: &'static str) -> impl Future<Output = F::Output> {
    future.await_as(name)
}

struct Options {
    port: u16,
    workers: usize,
    load: usize,
    seconds: Option<u64>,
    allows_control: bool,
}

fn parse(arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options { port: 8080, workers: 2, load: 0, seconds: None, allows_control: false };
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        if argument == "--control" {
            options.allows_control = true;
            continue;
        }
        if !["--port", "--workers", "--load", "--seconds"].contains(&argument.as_str()) {
            return Err(format!("unexpected argument `{argument}`"));
        }
        let value = arguments.next().ok_or(format!("`{argument}` needs a value"))?;
        let number: u64 = value.parse().map_err(|_| format!("`{argument}` needs a number, not `{value}`"))?;
        let small = usize::try_from(number).ok().filter(|number| *number <= 1_000);
        let small = small.ok_or(format!("`{argument}` is at most 1000"));
        match argument.as_str() {
            "--port" => options.port = u16::try_from(number).map_err(|_| "`--port` is at most 65535".to_owned())?,
            "--workers" => options.workers = small?.max(1),
            "--load" => options.load = small?,
            _ => options.seconds = Some(number),
        }
    }
    Ok(options)
}

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == "--help" || argument == "-h") {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let options = match parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprint!("error: {error}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    // First, so that it knows every task.
    let mut probe = loopscope_probe::init();
    if options.allows_control {
        probe = probe.allow_control();
    }
    let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)) {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("error: cannot listen on port {}: {error}", options.port);
            return ExitCode::FAILURE;
        }
    };
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(options.workers).enable_all();
    loopscope_probe::runtime(&mut builder);
    let runtime = builder.build().expect("build a runtime");
    let address = listener.local_addr().expect("the address of a bound socket");
    println!("listening on http://{address}, pid {}", std::process::id());
    let clients = clients::start(address, options.load);
    let duration = options.seconds.map(Duration::from_secs);
    runtime.block_on(server::serve(listener, duration, || println!("{} requests", clients.completed())));
    drop(probe);
    ExitCode::SUCCESS
}
