//! Attaching over TCP.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

use loopscope_probe::handshake::{NONCE_BYTES, OPENING, PROOF_BYTES, Side, new_nonce, proof};
use loopscope_probe::protocol::{self, Command, CommandKind, Start};

use crate::apps::serve::SECRET;
use crate::attach::{Server, folder, polls};
use crate::peer::{Connection, Stream};

fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.tcp_address()).expect("the program listens")
}

/// Sends the opening. Returns both nonces.
fn open(stream: &mut TcpStream) -> [[u8; NONCE_BYTES]; 2] {
    let mut nonces = [new_nonce().expect("random"), [0; NONCE_BYTES]];
    stream.write_all(&[&OPENING[..], &nonces[0]].concat()).expect("sent");
    stream.read_exact(&mut nonces[1]).expect("a nonce");
    nonces
}

/// Proves that this peer knows `secret`. Returns whether the program proves the same.
fn prove(stream: &mut TcpStream, secret: &str) -> bool {
    let nonces = open(stream);
    stream.write_all(&proof(secret.as_bytes(), Side::Loopscope, &nonces)).expect("sent");
    let mut answer = [0; PROOF_BYTES];
    stream.read_exact(&mut answer).is_ok() && answer == proof(secret.as_bytes(), Side::Program, &nonces)
}

/// Reads until the program closes the connection. Returns the number of bytes.
fn bytes_until_closed(stream: &mut TcpStream) -> usize {
    let (mut count, mut buffer) = (0, [0; 4_096]);
    // A reset closes it, too: the program did not read everything.
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        count += read;
    }
    count
}

fn attach(server: &Server) -> Connection {
    let mut stream = connect(server);
    assert!(prove(&mut stream, SECRET));
    Connection::new(stream)
}

#[test]
fn a_peer_with_the_secret_sees_everything() {
    let folder = folder();
    let mut server = Server::start("tcp", folder.path());
    for _ in 0..2 {
        let mut connection = attach(&server);
        assert_eq!((connection.hello.pid, connection.hello.allows_control), (server.pid(), false));
        connection.begin();
        let mut stream = Stream::default();
        connection.read_until(&mut stream, |stream| stream.has_snapshot);
        let task = server.run_yielding(1_000);
        connection.read_until(&mut stream, |stream| stream.closed.contains(&task));
        stream.check();
        assert_eq!(polls(&stream, task), 1_001);
        let reply = connection.command(&mut stream, &Command::Pause);
        assert!(!reply.may_control && reply.error.expect("refused").contains("does not permit control"));
        connection.close();
        while !attach(&server).can_record() {}
    }
    // The socket works beside it.
    while !server.connect().can_record() {}
    server.finish();
}

#[test]
fn a_permitted_peer_pauses_and_its_end_resumes() {
    let folder = folder();
    let mut server = Server::start("controlled-tcp", folder.path());
    let mut connection = attach(&server);
    assert!(connection.hello.allows_control);
    connection.begin();
    let mut stream = Stream::default();
    connection.read_until(&mut stream, |stream| stream.has_snapshot);
    server.start_yielding(1_000_000);
    let task = server.yielding();
    assert!(connection.command(&mut stream, &Command::Pause).may_control);
    connection.wait_for_pause(&mut stream);
    drop(connection);
    server.lines_until("done");
    let mut connection = attach(&server);
    while !connection.can_record() {
        connection = attach(&server);
    }
    assert!(task > 0);
    server.finish();
}

#[test]
fn a_peer_without_the_secret_gets_nothing() {
    let folder = folder();
    let mut server = Server::start("tcp", folder.path());
    for wrong in ["0123456789abcdeF", "0123456789abcde", "", "0123456789abcdef0"] {
        let mut stream = connect(&server);
        assert!(!prove(&mut stream, wrong), "`{wrong}`");
        assert_eq!(bytes_until_closed(&mut stream), 0, "`{wrong}`");
    }
    // Its own nonce, or the proof of the other side, is no proof.
    for is_echo in [true, false] {
        let mut stream = connect(&server);
        let nonces = open(&mut stream);
        let answer = if is_echo { nonces[1] } else { proof(SECRET.as_bytes(), Side::Program, &nonces) };
        stream.write_all(&answer).expect("sent");
        assert_eq!(bytes_until_closed(&mut stream), 0);
    }
    // A proof is worth nothing on another connection.
    let mut stream = connect(&server);
    let nonces = open(&mut stream);
    let replayed = proof(SECRET.as_bytes(), Side::Loopscope, &nonces);
    let mut other = connect(&server);
    other.write_all(&[&OPENING[..], &nonces[0]].concat()).expect("sent");
    other.read_exact(&mut [0; NONCE_BYTES]).expect("a nonce");
    other.write_all(&replayed).expect("sent");
    assert_eq!(bytes_until_closed(&mut other), 0);

    let mut start = Vec::new();
    let message = Start { protocol: protocol::VERSION, secret: Some(SECRET.to_owned()), dump: false };
    protocol::write_frame(CommandKind::Start as u8, &serde_json::to_vec(&message).expect("JSON"), &mut start);
    let cases = [start, SECRET.into(), b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(), vec![0xff; 1 << 16]];
    for garbage in cases {
        let mut stream = connect(&server);
        let _ = stream.write_all(&garbage);
        let _ = stream.shutdown(Shutdown::Write);
        assert_eq!(bytes_until_closed(&mut stream), 0);
    }
    server.run_yielding(100);
    while !attach(&server).can_record() {}
    server.finish();
}

#[test]
fn silent_peers_are_closed_and_block_nothing() {
    let folder = folder();
    let mut server = Server::start("tcp", folder.path());
    let mut silent = connect(&server);
    let mut slow = connect(&server);
    slow.write_all(&OPENING[..3]).expect("sent");
    while !attach(&server).can_record() {}
    server.run_yielding(1_000);
    assert_eq!(bytes_until_closed(&mut silent) + bytes_until_closed(&mut slow), 0);

    // More than may be there at one time: the last ones are closed at once.
    let mut crowd: Vec<_> = (0..40).map(|_| connect(&server)).collect();
    assert_eq!(bytes_until_closed(crowd.last_mut().expect("the last one")), 0);
    crowd[0].set_nonblocking(true).expect("a socket");
    let first = crowd[0].read(&mut [0]).map_err(|error| error.kind());
    assert_eq!(first, Err(ErrorKind::WouldBlock), "the first one is still there");
    drop(crowd);
    // The others are noticed to be gone one after the other.
    loop {
        let mut stream = connect(&server);
        stream.write_all(&[&OPENING[..], &[0; NONCE_BYTES]].concat()).expect("sent");
        if stream.read_exact(&mut [0; NONCE_BYTES]).is_ok() {
            break;
        }
    }
    while !attach(&server).can_record() {}
    server.finish();
}

#[test]
fn nothing_listens_without_a_long_secret() {
    let folder = folder();
    let problem = |arguments: &str, variables: &[(&str, &str)]| {
        let server = Server::start_with(arguments, folder.path(), variables);
        let problem = server.first_lines().iter().find_map(|line| line.strip_prefix("problem ")).map(str::to_owned);
        let listens = server.first_lines().iter().any(|line| line.starts_with("tcp "));
        server.connect();
        server.finish();
        assert_eq!(problem.is_none(), listens);
        problem.unwrap_or_default()
    };
    let address = ("LOOPSCOPE_PROBE_TCP", "127.0.0.1:0");
    let secret = |secret| ("LOOPSCOPE_PROBE_TCP_SECRET", secret);
    assert!(problem("short-secret", &[]).contains("does not listen on TCP: the secret has 15 bytes"));
    assert!(problem("", &[address]).contains("without a secret: set LOOPSCOPE_PROBE_TCP_SECRET"));
    assert!(problem("", &[address, secret("")]).contains("without a secret"));
    assert!(problem("", &[address, secret("0123456789abcde")]).contains("has 15 bytes"));
    assert!(problem("tcp", &[address]).contains("without a secret"), "the environment takes precedence");
    assert!(problem("", &[("LOOPSCOPE_PROBE_TCP", "nonsense"), secret(SECRET)]).contains("does not listen on TCP"));
    assert_eq!(problem("", &[address, secret(SECRET)]), "");
    let file = folder.path().join("secret");
    let in_file = ("LOOPSCOPE_PROBE_TCP_SECRET_FILE", file.to_str().expect("text"));
    assert!(problem("", &[address, in_file]).contains("cannot read the secret"));
    std::fs::write(&file, format!("{SECRET}\n")).expect("written");
    let mut server = Server::start_with("", folder.path(), &[address, in_file]);
    assert!(attach(&server).can_record());
    server.run_yielding(10);
    server.finish();
}
