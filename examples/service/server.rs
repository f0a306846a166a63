//! The service: each request is handled by four tasks that share a cache, a pool of connections and a log.

use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, RwLock, Semaphore, mpsc, oneshot};

use super::named;

/// Connections to the database, which does not exist.
const DATABASE_CONNECTIONS: usize = 4;

/// Lines that wait to be logged.
const LOG_LINES: usize = 256;

/// Longest request, in bytes.
const REQUEST_BYTES_MAX: usize = 16 << 10;

/// Steps of the computation of each task of a request: together about 60 µs, as in a small web service.
const STEPS: u32 = 12_000;

/// Time between two reports of the load.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// What the handlers share.
#[derive(Clone)]
struct Shared {
    cache: Arc<RwLock<HashMap<u64, u64>>>,
    database: Arc<Semaphore>,
    statistics: Arc<Mutex<Statistics>>,
    log: mpsc::Sender<u64>,
}

#[derive(Default)]
struct Statistics {
    requests: u64,
    hits: u64,
}

/// Serves until `duration` has passed, or forever. Calls `report` each second.
pub async fn serve(listener: TcpListener, duration: Option<Duration>, report: impl Fn()) {
    listener.set_nonblocking(true).expect("make the listener non-blocking");
    let listener = tokio::net::TcpListener::from_std(listener).expect("register the listener");
    let (log, lines) = mpsc::channel(LOG_LINES);
    tokio::spawn(write_log(lines));
    let shared = Shared {
        cache: Arc::default(),
        database: Arc::new(Semaphore::new(DATABASE_CONNECTIONS)),
        statistics: Arc::default(),
        log,
    };
    tokio::spawn(async move {
        loop {
            // Running out of sockets is temporary.
            let Ok((stream, _)) = named(listener.accept(), "accept connection").await else { continue };
            tokio::spawn(handle_connection(stream, shared.clone()));
        }
    });
    let deadline = duration.map(|duration| tokio::time::Instant::now() + duration);
    let mut interval = tokio::time::interval(REPORT_INTERVAL);
    interval.tick().await;
    while deadline.is_none_or(|deadline| tokio::time::Instant::now() < deadline) {
        interval.tick().await;
        report();
    }
}

async fn write_log(mut lines: mpsc::Receiver<u64>) {
    let mut written = 0_u64;
    while let Some(line) = named(lines.recv(), "receive log line").await {
        written = written.wrapping_add(line);
    }
}

async fn handle_connection(mut stream: TcpStream, shared: Shared) {
    let _ = stream.set_nodelay(true);
    let mut buffer = Vec::with_capacity(1 << 10);
    loop {
        while !buffer.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
            if buffer.len() > REQUEST_BYTES_MAX {
                return;
            }
            match named(stream.read_buf(&mut buffer), "read request").await {
                Ok(1..) => {}
                _ => return,
            }
        }
        buffer.clear();
        let total = handle_request(shared.clone()).await;
        let body = format!("{total}\n");
        let response = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        if stream.write_all(response.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn handle_request(shared: Shared) -> u64 {
    let number = {
        let mut statistics = shared.statistics.lock().await;
        statistics.requests += 1;
        statistics.requests
    };
    let key = number % 1_000;
    let (query, answer) = oneshot::channel();
    let lookup = tokio::spawn(look_up(shared.clone(), key));
    let database = tokio::spawn(query_database(shared.clone(), key, query));
    let store = tokio::spawn(store_answer(shared.clone(), key, answer));
    let log = tokio::spawn(async move { shared.log.send(compute(number)).await.is_ok() });
    let cached = named(lookup, "join lookup").await.unwrap_or(0);
    let _ = named(database, "join database").await;
    let stored = named(store, "join store").await.unwrap_or(0);
    let _ = named(log, "join log").await;
    cached.wrapping_add(stored)
}

async fn look_up(shared: Shared, key: u64) -> u64 {
    let cached = shared.cache.read().await.get(&key).copied();
    if cached.is_some() {
        shared.statistics.lock().await.hits += 1;
    }
    cached.unwrap_or(0) ^ compute(key)
}

async fn query_database(shared: Shared, key: u64, answer: oneshot::Sender<u64>) {
    // The semaphore is never closed.
    let Ok(_connection) = shared.database.acquire().await else { return };
    let _ = answer.send(compute(key));
}

/// Computes something from `key`, in place of parsing, rendering and the like.
fn compute(key: u64) -> u64 {
    (0..STEPS).fold(key, |hash, _| hash.wrapping_mul(6_364_136_223_846_793_005).rotate_left(17) ^ key)
}

async fn store_answer(shared: Shared, key: u64, answer: oneshot::Receiver<u64>) -> u64 {
    let Ok(answer) = answer.await else { return 0 };
    if shared.cache.read().await.get(&key) != Some(&answer) {
        shared.cache.write().await.insert(key, answer);
    }
    answer
}
