//! `loopscope doctor` with real apps, each with a different problem.

use std::io::{Read, Write};
use std::net::TcpListener;

use crate::cli::loopscope;
use crate::example_app::ExampleApp;

/// Returns the exit code and the output for `address`.
fn diagnose(address: &str) -> (Option<i32>, String) {
    let output = loopscope(&["doctor", address]);
    (output.exit_code, output.stdout)
}

/// Asserts the exit code and parts of the output for `address`.
#[track_caller]
fn assert_diagnosis(address: &str, code: i32, expected: &[&str]) {
    let (exit, text) = diagnose(address);
    for expected in expected {
        assert!(text.contains(expected), "`{expected}` is not in:\n{text}");
    }
    assert_eq!(exit, Some(code), "{text}");
}

#[test]
fn healthy_app_has_no_problems() {
    let app = ExampleApp::start(&["mutex"]);
    let (exit, text) = diagnose(&app.address);
    assert_eq!(exit, Some(0), "{text}");
    assert!(text.contains("built with tokio 1.") && text.contains("4 tasks, 4 alive"), "{text}");
    assert!(!text.contains("warning") && !text.contains("ERROR"), "{text}");
}

#[test]
fn distinguishes_no_server_from_other_server() {
    assert_diagnosis(
        &format!("{}", crate::example_app::free_port()),
        1,
        &["ERROR", "connection refused", "console_subscriber::init()"],
    );
    assert_diagnosis("unix:/nowhere/app.sock", 1, &["no such socket"]);
    let server = TcpListener::bind("127.0.0.1:0").expect("bind a port");
    let address = server.local_addr().expect("the listener is bound").to_string();
    std::thread::spawn(move || {
        for mut stream in server.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 64]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
            // Read everything, or closing would reset the connection before the answer arrives.
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        }
    });
    assert_diagnosis(&address, 1, &["ok       a server listens", "it speaks HTTP/1", "TOKIO_CONSOLE_BIND"]);
}

#[test]
fn detects_filtered_wakes() {
    let app = ExampleApp::start(&["sleeps", "--no-wakers"]);
    assert_diagnosis(&app.address, 0, &["warning", "no wake is reported", "tokio=trace"]);
}

#[test]
fn detects_late_subscriber() {
    let app = ExampleApp::start(&["mutex", "--late"]);
    assert_diagnosis(&app.address, 0, &["warning", "spawned before the first one that it reports", "first in main"]);
}

#[test]
fn detects_overloaded_console() {
    let app = ExampleApp::start(&["sleeps", "--tasks", "2000"]);
    assert_diagnosis(&app.address, 0, &["warning", "cannot keep up", "128 events", "TOKIO_CONSOLE_PUBLISH_INTERVAL"]);
}
