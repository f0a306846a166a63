//! Finds out whether something outside of an app can wake it: a socket, a pipe, a signal or a blocked read.
//!
//! An app in which nothing moves and that has such an input may only be idle. Reads `/proc`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustc_hash::FxHashSet;

/// Minimum time between two checks.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Minimum time to the next check of an app that has an input: it rarely loses it.
const RECHECK_INTERVAL: Duration = Duration::from_secs(10);

/// Bits of the signals that programs handle to receive input: HUP, INT, USR1, USR2, TERM and CHLD.
const SIGNALS: u64 = 1 << 0 | 1 << 1 | 1 << 9 | 1 << 11 | 1 << 14 | 1 << 16;

/// Number of the system call `read` on this architecture.
const READ_CALL: &str = if cfg!(target_arch = "x86_64") { "0" } else { "63" };

/// Beginning of the names of the probe's threads, which read from loopscope.
const PROBE_THREADS: &str = "loopscope-probe";

/// Descriptors up to this one are the standard streams.
const STANDARD_STREAM_MAX: u32 = 2;

/// Checks an app from time to time.
#[derive(Debug, Default)]
pub struct OutsideInputCheck {
    due_at: Option<Instant>,
}

impl OutsideInputCheck {
    /// Returns whether the process `pid`, whose console listens on `console_port`, has an outside input, if a check is
    /// due. The inner value is `None` if that cannot be read.
    pub fn check_if_due(&mut self, pid: u32, console_port: Option<u16>) -> Option<Option<bool>> {
        let now = Instant::now();
        if self.due_at.is_some_and(|due_at| now < due_at) {
            return None;
        }
        let has_input = has_outside_input(&PathBuf::from(format!("/proc/{pid}")), pid, console_port);
        self.due_at = now.checked_add(if has_input == Some(true) { RECHECK_INTERVAL } else { CHECK_INTERVAL });
        Some(has_input)
    }
}

fn has_outside_input(process: &Path, pid: u32, console_port: Option<u16>) -> Option<bool> {
    let status = fs::read_to_string(process.join("status")).ok()?;
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?;
    let handles_signals = u64::from_str_radix(caught.trim(), 16).ok()? & SIGNALS != 0;
    Some(handles_signals || has_blocked_read(process)? || has_open_input(process, pid, console_port)?)
}

/// Returns whether a thread other than the probe's is blocked in a read, for example of standard input.
fn has_blocked_read(process: &Path) -> Option<bool> {
    for thread in fs::read_dir(process.join("task")).ok()?.flatten() {
        // A thread may end meanwhile.
        let Ok(call) = fs::read_to_string(thread.path().join("syscall")) else { continue };
        let is_probe =
            || fs::read_to_string(thread.path().join("comm")).is_ok_and(|name| name.starts_with(PROBE_THREADS));
        if call.split(' ').next() == Some(READ_CALL) && !is_probe() {
            return Some(true);
        }
    }
    // Without permission no thread could be read.
    fs::read_to_string(process.join("syscall")).ok().map(|_| false)
}

/// Returns whether a socket other than those of the console and of the probe, or a pipe other than a standard stream, is
/// open.
fn has_open_input(process: &Path, pid: u32, console_port: Option<u16>) -> Option<bool> {
    let mut sockets = FxHashSet::default();
    for entry in fs::read_dir(process.join("fd")).ok()?.flatten() {
        let Ok(target) = fs::read_link(entry.path()) else { continue };
        let (target, number) = (target.to_string_lossy(), entry.file_name());
        let is_standard = number.to_string_lossy().parse().is_ok_and(|number: u32| number <= STANDARD_STREAM_MAX);
        let inode = target.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
        sockets.extend(inode.and_then(|inode| inode.parse::<u64>().ok()));
        // The permissions of the link tell whether the descriptor can be read.
        let is_readable = entry.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o400 != 0);
        if target.starts_with("pipe:") && is_readable && !is_standard {
            return Some(true);
        }
    }
    Some(!sockets.is_empty() && has_input_socket(process, &sockets, pid, console_port))
}

/// Returns whether one of the sockets with these inodes is a network socket that is not on the console's port, or a Unix
/// socket with a path that is not the probe's. tokio's own pair for signals has no path.
fn has_input_socket(process: &Path, sockets: &FxHashSet<u64>, pid: u32, console_port: Option<u16>) -> bool {
    let console = console_port.map(|port| format!(":{port:04X}"));
    let is_one = |inode: &str| inode.parse().is_ok_and(|inode: u64| sockets.contains(&inode));
    let is_network_input = |line: &str| {
        let mut fields = line.split_whitespace();
        let (local, inode) = (fields.nth(1).unwrap_or_default(), fields.nth(7).unwrap_or_default());
        is_one(inode) && console.as_ref().is_none_or(|console| !local.ends_with(console))
    };
    let probe = format!("/{pid}.sock");
    let is_unix_input = |line: &str| {
        let mut fields = line.split_whitespace();
        let (inode, path) = (fields.nth(6).unwrap_or_default(), fields.next());
        is_one(inode) && path.is_some_and(|path| !path.ends_with(&probe))
    };
    let mut networks = ["tcp", "tcp6", "udp", "udp6"].into_iter();
    networks.any(|table| has_line(process, table, is_network_input)) || has_line(process, "unix", is_unix_input)
}

/// Returns whether a line of a table of the process's network namespace satisfies a condition. Reads up to that line.
fn has_line(process: &Path, table: &str, is_wanted: impl Fn(&str) -> bool) -> bool {
    let Ok(file) = fs::File::open(process.join("net").join(table)) else { return false };
    BufReader::new(file).lines().skip(1).map_while(Result::ok).any(|line| is_wanted(&line))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    #[test]
    fn sees_the_sockets_of_a_process() {
        let own = PathBuf::from("/proc/self");
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("bound address").port();
        let other = std::net::UdpSocket::bind(("127.0.0.1", 0)).expect("a free port");
        let inode_of = |descriptor: i32| {
            let link = fs::read_link(format!("/proc/self/fd/{descriptor}")).expect("an open descriptor");
            let inode = link.to_string_lossy().trim_start_matches("socket:[").trim_end_matches(']').to_owned();
            inode.parse::<u64>().expect("an inode")
        };
        use std::os::fd::AsRawFd;
        let pid = std::process::id();
        let is_input = |descriptor: i32| {
            let sockets = FxHashSet::from_iter([inode_of(descriptor)]);
            has_input_socket(&own, &sockets, pid, Some(port))
        };
        assert!(!is_input(listener.as_raw_fd()), "the console's own socket");
        assert!(is_input(other.as_raw_fd()));
        assert_eq!(has_open_input(&own, pid, Some(port)), Some(true));
        let folder = tempfile::tempdir().expect("a folder");
        let unix = |name: String| UnixListener::bind(folder.path().join(name)).expect("a socket");
        let (probe, service) = (unix(format!("{pid}.sock")), unix("service.sock".to_owned()));
        assert!(!is_input(probe.as_raw_fd()), "the probe's own socket");
        assert!(is_input(service.as_raw_fd()));
        let (first, _second) = UnixStream::pair().expect("a pair");
        assert!(!is_input(first.as_raw_fd()), "both ends are inside");
    }
}
