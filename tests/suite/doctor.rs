//! `loopscope doctor`, at real programs with something wrong with each.

use std::io::{Read, Write};
use std::net::TcpListener;

use crate::cli::loopscope;
use crate::outside::App;

/// The exit code and everything that is said of `address`.
fn examined(address: &str) -> (Option<i32>, String) {
    let output = loopscope(&["doctor", address]);
    (output.code, output.out)
}

#[track_caller]
fn says(address: &str, code: i32, expected: &[&str]) {
    let (exit, text) = examined(address);
    for expected in expected {
        assert!(text.contains(expected), "`{expected}` is not in:\n{text}");
    }
    assert_eq!(exit, Some(code), "{text}");
}

#[test]
fn a_program_that_is_well_is_said_to_be() {
    let app = App::start(&["mutex"]);
    let (exit, text) = examined(&app.address);
    assert_eq!(exit, Some(0), "{text}");
    assert!(text.contains("built with tokio 1.") && text.contains("4 tasks, 4 alive"), "{text}");
    assert!(!text.contains("odd") && !text.contains("WRONG"), "{text}");
}

#[test]
fn nobody_and_others_are_told_apart() {
    says(
        &format!("{}", crate::outside::free_port()),
        1,
        &["WRONG", "nothing listens there", "console_subscriber::init()"],
    );
    says("unix:/nowhere/app.sock", 1, &["there is no such socket"]);
    let server = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = server.local_addr().expect("it is bound").to_string();
    std::thread::spawn(move || {
        for mut stream in server.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 64]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
            // What was not read would break the connection before its answer is.
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        }
    });
    says(&address, 1, &["fine   something listens", "it speaks HTTP/1", "TOKIO_CONSOLE_BIND"]);
}

#[test]
fn wakes_that_a_filter_hides_are_missed() {
    let app = App::start(&["sleeps", "--no-wakers"]);
    says(&app.address, 0, &["odd", "no wake is ever told", "tokio=trace"]);
}

#[test]
fn a_subscriber_that_came_late_is_found_out() {
    let app = App::start(&["mutex", "--late"]);
    says(&app.address, 0, &["odd", "spawned before the first that it tells of", "first thing in main"]);
}

#[test]
fn a_console_that_cannot_keep_up_is_found_out() {
    let app = App::start(&["sleeps", "--tasks", "2000"]);
    says(&app.address, 0, &["odd", "cannot keep up", "128 events", "TOKIO_CONSOLE_PUBLISH_INTERVAL"]);
}
