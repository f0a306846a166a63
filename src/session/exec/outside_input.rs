//! Finds out whether something outside of a started app can wake it: a socket, a pipe, a signal or a blocked read.
//!
//! An app in which nothing moves and that has such an input may only be idle. Reads `/proc`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustc_hash::FxHashSet;

/// Minimum time between two checks.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

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
    checked_at: Option<Instant>,
}

impl OutsideInputCheck {
    /// Returns whether the process `pid`, whose console listens on `console_port`, has an outside input, if a check is
    /// due. The inner value is `None` if that cannot be read.
    pub fn check_if_due(&mut self, pid: u32, console_port: u16) -> Option<Option<bool>> {
        if self.checked_at.is_some_and(|at| at.elapsed() < CHECK_INTERVAL) {
            return None;
        }
        self.checked_at = Some(Instant::now());
        Some(has_outside_input(&PathBuf::from(format!("/proc/{pid}")), console_port))
    }
}

fn has_outside_input(process: &Path, console_port: u16) -> Option<bool> {
    let status = fs::read_to_string(process.join("status")).ok()?;
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?;
    let handles_signals = u64::from_str_radix(caught.trim(), 16).ok()? & SIGNALS != 0;
    Some(handles_signals || has_blocked_read(process)? || has_open_input(process, console_port)?)
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

/// Returns whether a socket other than those of the console, or a pipe other than a standard stream, is open.
fn has_open_input(process: &Path, console_port: u16) -> Option<bool> {
    let sockets = socket_inodes(process, console_port);
    for entry in fs::read_dir(process.join("fd")).ok()?.flatten() {
        let Ok(target) = fs::read_link(entry.path()) else { continue };
        let (target, number) = (target.to_string_lossy(), entry.file_name());
        let is_standard = number.to_string_lossy().parse().is_ok_and(|number: u32| number <= STANDARD_STREAM_MAX);
        let inode = target.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
        let is_input = inode.is_some_and(|inode| inode.parse().is_ok_and(|inode| sockets.contains(&inode)));
        // The permissions of the link tell whether the descriptor can be read.
        let is_readable = entry.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o400 != 0);
        if is_input || (target.starts_with("pipe:") && is_readable && !is_standard) {
            return Some(true);
        }
    }
    Some(false)
}

/// Returns the inodes of the network sockets of the process's namespace, except those on the console's port, and of Unix
/// sockets with a path. tokio's own pair for signals has no path.
fn socket_inodes(process: &Path, console_port: u16) -> FxHashSet<u64> {
    let console = format!(":{console_port:04X}");
    let mut inodes = FxHashSet::default();
    for table in ["tcp", "tcp6", "udp", "udp6"] {
        let text = fs::read_to_string(process.join("net").join(table)).unwrap_or_default();
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            if let [_, local, _, _, _, _, _, _, _, inode, ..] = fields[..]
                && !local.ends_with(&console)
            {
                inodes.extend(inode.parse::<u64>());
            }
        }
    }
    let text = fs::read_to_string(process.join("net/unix")).unwrap_or_default();
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if let [_, _, _, _, _, _, inode, _path, ..] = fields[..] {
            inodes.extend(inode.parse::<u64>());
        }
    }
    inodes
}

#[cfg(test)]
mod tests {
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
        let found = socket_inodes(&own, port);
        use std::os::fd::AsRawFd;
        assert!(!found.contains(&inode_of(listener.as_raw_fd())), "the console's own socket");
        assert!(found.contains(&inode_of(other.as_raw_fd())));
        assert_eq!(has_open_input(&own, port), Some(true));
    }
}
