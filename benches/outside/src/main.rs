//! Runs one load under one tool, and prints one number. The bench `side_by_side` starts it once per measurement.
//!
//! Usage:
//! - `outside yield WORKERS [SOCKET]` prints nanoseconds per poll of 100 tasks that only yield.
//! - `outside work WORKERS [SOCKET]` prints nanoseconds per poll of 1,000 tasks whose polls work 5 µs.
//! - `outside service WORKERS SECONDS` prints requests per second of the example service.
//!
//! `WORKERS` is 0 for a current-thread runtime. The tool is the cargo feature with which this program was built: none,
//! `probe`, `console` or `dial9`. With `probe`, recording starts if `LOOPSCOPE_PROBE_SOCKET` is set, as for any program.

#[path = "../../../examples/service/clients.rs"]
mod clients;
mod load;
#[path = "../../../examples/service/server.rs"]
mod server;
mod tool;

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use load::Load;

/// Names an await, where the tool can.
#[track_caller]
fn named<F: Future>(future: F, name: &'static str) -> impl Future<Output = F::Output> {
    tool::named(future, name)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize| arguments.get(index).and_then(|text| text.parse::<u64>().ok()).expect("a number");
    let workers = usize::try_from(number(1)).expect("few workers");
    let value = match arguments[0].as_str() {
        "yield" => tool::run(workers, || Load::YIELDING.run()),
        "work" => tool::run(workers, || Load::WORKING.run()),
        "service" => tool::run(workers, || requests_per_second(Duration::from_secs(number(2)))),
        other => panic!("unknown load {other}"),
    };
    println!("{value}");
}

async fn requests_per_second(duration: Duration) -> f64 {
    const CLIENTS: usize = 8;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listen on any port");
    let address = listener.local_addr().expect("the address of a bound socket");
    let clients = clients::start(address, CLIENTS);
    let begun = Instant::now();
    server::serve(listener, Some(duration), || ()).await;
    clients.completed() as f64 / begun.elapsed().as_secs_f64()
}
