//! Flight recordings that a signal asks for.
//!
//! The signal handler writes a byte into a socket. A thread of the probe reads it, so that a recording is written even
//! if every other thread of the program is blocked.

use std::io::{self, ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGUSR1, SIGUSR2};
use signal_hook::low_level;

use crate::problems::print_problem;
use crate::{clock, connection, hello, recorder, recording_file};

/// The real-time signals of Linux, without those that the C library uses.
const REAL_TIME_SIGNALS: std::ops::RangeInclusive<i32> = 34..=64;

/// A signal was chosen.
static IS_STARTED: AtomicBool = AtomicBool::new(false);

/// Writes a flight recording into `folder` whenever the process receives `signal`.
pub(crate) fn start(signal: i32, folder: PathBuf) -> io::Result<()> {
    check_signal(signal)?;
    if !recorder::is_enabled() {
        return Err(io::Error::other("the program has no flight recorder"));
    }
    if IS_STARTED.swap(true, Ordering::SeqCst) {
        return Err(io::Error::other("a signal was already chosen"));
    }
    let (reader, writer) = UnixStream::pair()?;
    connection::spawn_thread(move || dump_at_signals(reader, &folder))?;
    low_level::pipe::register(signal, writer)?;
    Ok(())
}

/// Accepts the signals that mean nothing but what the program gives them. For any other, a handler would replace what
/// the system does by default, such as ending the program.
fn check_signal(signal: i32) -> io::Result<()> {
    let is_real_time = cfg!(target_os = "linux") && REAL_TIME_SIGNALS.contains(&signal);
    if is_real_time || [SIGUSR1, SIGUSR2].contains(&signal) {
        return Ok(());
    }
    let name = low_level::signal_name(signal).unwrap_or("unknown");
    let problem = format!(
        "signal {signal} ({name}) would lose its effect on the program: use SIGUSR1, SIGUSR2 or a real-time signal"
    );
    Err(io::Error::new(ErrorKind::InvalidInput, problem))
}

/// Writes a file for each signal. Signals that arrive meanwhile ask for one further file together. Errors are printed
/// once, until a file could be written again.
fn dump_at_signals(mut signals: UnixStream, folder: &Path) {
    let (mut bytes, mut has_failed) = ([0; 64], false);
    loop {
        match signals.read(&mut bytes) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return,
        }
        let result = dump_into(folder);
        if let (Err(error), false) = (&result, has_failed) {
            print_problem(format_args!("cannot write a flight recording into `{}`: {error}", folder.display()));
        }
        has_failed = result.is_err();
    }
}

fn dump_into(folder: &Path) -> io::Result<()> {
    let hello = hello::hello();
    let stem = recording_file::stem(&hello.name, hello.pid, clock::unix_ns() / 1_000_000_000);
    recording_file::write_new(folder, &stem, &recorder::recording()?).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_with_a_meaning_are_refused() {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
        for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM, 0, -1, 9, 11, 19, 32, 65] {
            let error = check_signal(signal).expect_err("refused").to_string();
            assert!(error.contains(&signal.to_string()) && error.contains("SIGUSR1"), "{error}");
        }
        assert!(check_signal(SIGTERM).expect_err("refused").to_string().contains("SIGTERM"));
        for signal in [SIGUSR1, SIGUSR2, 34, 64] {
            check_signal(signal).expect("accepted");
        }
    }
}
