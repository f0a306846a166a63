//! A small service to look at with loopscope: orders over HTTP, on several workers.
//!
//! ```sh
//! cargo run --release --package loopscope-probe --example service              # the service, on 127.0.0.1:8080
//! cargo run --release --package loopscope-probe --example service -- --load    # requests for it, in a second terminal
//! loopscope attach                                                             # loopscope, in a third one
//! ```
//!
//! Each request spawns four tasks: one takes a permit of a semaphore, one locks a cache, one computes a price, and one
//! sends an entry to the task that keeps the log.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use loopscope_probe::AwaitAs;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Semaphore, mpsc};

const USAGE: &str = "usage: service [--port PORT] [--workers COUNT] [--load] [--connections COUNT] [--seconds COUNT]";

/// Longest request in bytes.
const REQUEST_BYTES_MAX: usize = 4096;

/// Entries that wait for the log.
const LOG_ENTRIES_MAX: usize = 1024;

/// Requests that use the back end at one time.
const BACK_END_PERMITS: usize = 32;

/// Orders in the cache.
const CACHED_ORDERS_MAX: usize = 1_000;

/// Steps of the computation of a price.
const PRICE_STEPS: u64 = 30_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = Options::from_arguments()?;
    if options.is_load {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        return Ok(runtime.block_on(load(options))?);
    }
    // The probe comes first, so that it observes everything. This service may be paused and stepped.
    let probe = loopscope_probe::init().allow_control();
    if let Some(problem) = probe.problem() {
        eprintln!("warning: {problem}");
    }
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = loopscope_probe::runtime(&mut builder).worker_threads(options.workers).enable_all().build()?;
    // A spawned task can be paused like all others.
    Ok(runtime.block_on(async { loopscope_probe::spawn(serve(options.port)).await })??)
}

struct Options {
    port: u16,
    workers: usize,
    is_load: bool,
    connections: usize,
    seconds: u64,
}

impl Options {
    fn from_arguments() -> Result<Self, Box<dyn std::error::Error>> {
        let mut options = Self { port: 8080, workers: 2, is_load: false, connections: 32, seconds: u64::MAX };
        let mut arguments = std::env::args().skip(1);
        while let Some(name) = arguments.next() {
            if name == "--load" {
                options.is_load = true;
                continue;
            }
            let value = arguments.next().ok_or(USAGE)?;
            match name.as_str() {
                "--port" => options.port = value.parse()?,
                "--workers" => options.workers = value.parse()?,
                "--connections" => options.connections = value.parse()?,
                "--seconds" => options.seconds = value.parse()?,
                _ => return Err(USAGE.into()),
            }
        }
        Ok(options)
    }
}

/// What the requests share.
struct Service {
    cache: Mutex<HashMap<u64, u64>>,
    back_end: Semaphore,
    log: mpsc::Sender<String>,
}

async fn serve(port: u16) -> io::Result<()> {
    let (log, entries) = mpsc::channel(LOG_ENTRIES_MAX);
    loopscope_probe::spawn(keep_log(entries));
    let service =
        Arc::new(Service { cache: Mutex::new(HashMap::new()), back_end: Semaphore::new(BACK_END_PERMITS), log });
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on http://{}/order/1", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await_as("accept").await?;
        loopscope_probe::spawn(serve_connection(stream, service.clone()));
    }
}

/// Answers the requests of one connection.
async fn serve_connection(mut stream: TcpStream, service: Arc<Service>) -> io::Result<()> {
    let mut request = Vec::with_capacity(REQUEST_BYTES_MAX);
    while let Some(order) = read_request(&mut stream, &mut request).await? {
        let answer = match answer(order, &service).await {
            Some(price) => format!("{{\"order\":{order},\"price\":{price}}}\n"),
            None => "{\"error\":\"unavailable\"}\n".to_owned(),
        };
        let response = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{answer}",
            answer.len()
        );
        stream.write_all(response.as_bytes()).await_as("send response").await?;
    }
    Ok(())
}

/// Reads a request for `/order/NUMBER`. Returns `None` at the end of the connection.
async fn read_request(stream: &mut TcpStream, request: &mut Vec<u8>) -> io::Result<Option<u64>> {
    request.clear();
    while !request.ends_with(b"\r\n\r\n") {
        if request.len() >= REQUEST_BYTES_MAX || stream.read_buf(request).await_as("read request").await? == 0 {
            return Ok(None);
        }
    }
    let line = String::from_utf8_lossy(request);
    let number = line.split_whitespace().nth(1).and_then(|path| path.rsplit('/').next()?.parse().ok());
    Ok(Some(number.unwrap_or(0)))
}

/// Computes the answer in four tasks.
async fn answer(order: u64, service: &Arc<Service>) -> Option<u64> {
    let check = loopscope_probe::spawn(check(service.clone()));
    let cached = loopscope_probe::spawn(look_up(order, service.clone()));
    let price = loopscope_probe::spawn(async move { compute_price(order) });
    let logged = loopscope_probe::spawn(write_entry(order, service.clone()));
    check.await_as("join check").await.ok()?;
    let count = cached.await_as("join look-up").await.ok()?;
    let price = price.await_as("join price").await.ok()?;
    logged.await_as("join entry").await.ok()?;
    Some(price + count % 2)
}

/// Uses the back end, which serves a limited number of requests at one time.
async fn check(service: Arc<Service>) {
    let permit = service.back_end.acquire().await;
    tokio::task::yield_now().await;
    drop(permit);
}

/// Counts how often an order was requested.
async fn look_up(order: u64, service: Arc<Service>) -> u64 {
    let mut cache = service.cache.lock().await;
    if cache.len() >= CACHED_ORDERS_MAX {
        cache.clear();
    }
    let count = cache.entry(order).or_insert(0);
    *count += 1;
    *count
}

/// Computes for some 80 µs, so that the service is about as busy as one with a web framework and a database client.
fn compute_price(order: u64) -> u64 {
    let mix = |state: u64, step: u64| {
        let state = state ^ state << 13 ^ step;
        let state = state ^ state >> 7;
        state ^ state << 17
    };
    (0..PRICE_STEPS).fold(order + 1, mix) % 10_000
}

async fn write_entry(order: u64, service: Arc<Service>) {
    // The log ends with the service.
    let _ = service.log.send(format!("order {order}")).await_as("send entry").await;
}

async fn keep_log(mut entries: mpsc::Receiver<String>) -> u64 {
    let mut bytes = 0;
    while let Some(entry) = entries.recv().await_as("receive entry").await {
        bytes += entry.len() as u64;
    }
    bytes
}

/// Sends requests over several connections, each as soon as the previous one was answered.
async fn load(options: Options) -> io::Result<()> {
    let requests = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> =
        (0..options.connections).map(|_| tokio::spawn(send_requests(options.port, requests.clone()))).collect();
    let (start, mut before) = (Instant::now(), 0);
    let is_over = || start.elapsed().as_secs() >= options.seconds || clients.iter().all(|client| client.is_finished());
    while !is_over() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = requests.load(Ordering::Relaxed);
        println!("{} requests/s", now - before);
        before = now;
    }
    let rate = requests.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64();
    println!("mean {rate:.0} requests/s");
    for client in clients.into_iter().filter(|client| client.is_finished()) {
        client.await??;
    }
    Ok(())
}

async fn send_requests(port: u16, requests: Arc<AtomicU64>) -> io::Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let mut response = [0; REQUEST_BYTES_MAX];
    for order in 1.. {
        stream.write_all(format!("GET /order/{} HTTP/1.1\r\nhost: localhost\r\n\r\n", order % 100).as_bytes()).await?;
        if stream.read(&mut response).await? == 0 {
            return Err(io::Error::other("the service has closed the connection"));
        }
        requests.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
