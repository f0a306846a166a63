//! Clients that send one request after the other, each on a thread of its own.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Clients that run until the process exits.
#[derive(Clone, Default)]
pub struct Clients {
    completed: Arc<AtomicU64>,
}

impl Clients {
    /// Returns how many requests were answered.
    pub fn completed(&self) -> u64 {
        self.completed.load(Ordering::Relaxed)
    }
}

/// Starts this many clients.
pub fn start(address: SocketAddr, count: usize) -> Clients {
    let clients = Clients::default();
    for _ in 0..count {
        let completed = clients.completed.clone();
        std::thread::spawn(move || {
            // The server is gone when the process ends.
            let _ = send_requests(address, &completed);
        });
    }
    clients
}

fn send_requests(address: SocketAddr, completed: &AtomicU64) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut buffer = [0; 1 << 10];
    loop {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
        // The response is short: it arrives in one piece.
        if stream.read(&mut buffer)? == 0 {
            return Ok(());
        }
        completed.fetch_add(1, Ordering::Relaxed);
    }
}
