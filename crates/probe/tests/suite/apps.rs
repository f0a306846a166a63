//! Programs that the tests observe. Each counts what it does and prints the counts.

mod awaits;
mod ends;
mod flight;
mod load;
pub mod queues;
pub mod serve;

use crate::peer::APP_VARIABLE;

/// Not a test: runs the program that the environment names, in the process that a test has started.
#[test]
fn run() {
    let Ok(name) = std::env::var(APP_VARIABLE) else { return };
    // libtest has not ended its line yet.
    println!();
    match name.split_once(' ').unwrap_or((&name, "")) {
        ("awaits", _) => awaits::run(),
        ("ends", hooks) => ends::run(hooks),
        ("flight", arguments) => flight::run(arguments),
        ("load", arguments) => load::run(arguments),
        ("queues", arguments) => queues::run(arguments),
        ("serve", arguments) => serve::run(arguments),
        _ => panic!("unknown program `{name}`"),
    }
}
