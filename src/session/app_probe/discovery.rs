//! Finds the running programs of this user that have the probe.
//!
//! A program is of this user if its socket is: the folder belongs to this user and no other may enter it, the socket
//! belongs to this user, and so does the process that listens on it.

use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, bounded};
use loopscope_probe::protocol::Hello;
use loopscope_probe::{PeerStream, check_socket_folder, socket_folder};

use crate::feed::app_probe::AppProbeDecoder;
use crate::sanitize::{sanitize, truncate};

/// Sockets that are examined.
const SOCKETS_MAX: usize = 256;

/// How long programs may take to describe themselves, all together.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// Bytes that a program may send before its description is complete.
const HELLO_BYTES_MAX: usize = 64 << 10;

/// Time between two lists of programs.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// Longest name of a program that is shown, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// A running program with the probe.
#[derive(Clone, Debug)]
pub struct ProbedProcess {
    /// Its process id, by the name of its socket.
    pub pid: u32,
    /// Its socket.
    pub path: PathBuf,
    /// Its description; or why it did not send one.
    pub hello: Result<Box<Hello>, String>,
}

impl ProbedProcess {
    /// Returns its name and the version of what runs it, if that is stated, without control characters.
    pub fn name(&self) -> String {
        match &self.hello {
            Ok(hello) if hello.runtime_version.is_empty() => truncate(&sanitize(&hello.name), NAME_BYTES_MAX),
            Ok(hello) => truncate(&sanitize(&format!("{} ({})", hello.name, hello.runtime_version)), NAME_BYTES_MAX),
            Err(_) => "?".to_owned(),
        }
    }

    /// Returns for how long it has been running, if that is known.
    pub fn age(&self, now: SystemTime) -> Option<Duration> {
        let started = Duration::from_nanos(self.hello.as_ref().ok()?.started_unix_ns);
        now.duration_since(SystemTime::UNIX_EPOCH.checked_add(started)?).ok()
    }
}

/// Connects to the socket of the program `pid`.
///
/// # Errors
/// Returns an error if the folder is not private, or if the program does not listen.
pub fn connect_to(pid: u32) -> io::Result<UnixStream> {
    let folder = socket_folder();
    check_socket_folder(&folder)?;
    let stream = connect(&folder.join(format!("{pid}.sock")))?;
    if is_listener_of(&stream, std::fs::metadata(&folder)?.uid()) {
        Ok(stream)
    } else {
        Err(io::Error::new(ErrorKind::PermissionDenied, "another user listens on its socket"))
    }
}

/// Connects without waiting: the queue of a stopped program may be full.
#[cfg(target_os = "linux")]
fn connect(path: &Path) -> io::Result<UnixStream> {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

#[cfg(not(target_os = "linux"))]
fn connect(path: &Path) -> io::Result<UnixStream> {
    UnixStream::connect(path)
}

/// Returns whether a process of this user listens at the other end.
#[cfg(target_os = "linux")]
fn is_listener_of(stream: &UnixStream, user: u32) -> bool {
    rustix::net::sockopt::socket_peercred(stream).is_ok_and(|listener| listener.uid.as_raw() == user)
}

#[cfg(not(target_os = "linux"))]
fn is_listener_of(_stream: &UnixStream, _user: u32) -> bool {
    true
}

/// Returns the running programs of this user that have the probe, by process id. Sockets of programs that have ended are
/// removed.
///
/// # Errors
/// Returns an error if the folder of the sockets belongs to another user, or others may enter it. Without a folder there
/// are no programs.
pub fn probed_processes() -> io::Result<Vec<ProbedProcess>> {
    processes_in(&socket_folder())
}

/// Starts to look for programs again and again, and returns the lists. While no list is taken, none is made.
///
/// # Errors
/// Returns an error if a thread cannot be created.
pub fn watch_processes() -> io::Result<Receiver<Vec<ProbedProcess>>> {
    let (sender, lists) = bounded(0);
    std::thread::Builder::new().name("loopscope-apps".into()).spawn(move || {
        loop {
            std::thread::sleep(WATCH_INTERVAL);
            // The folder may be gone for a moment.
            let found = probed_processes().unwrap_or_default();
            if sender.send(found).is_err() {
                return;
            }
        }
    })?;
    Ok(lists)
}

fn processes_in(folder: &Path) -> io::Result<Vec<ProbedProcess>> {
    match check_socket_folder(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        checked => checked?,
    }
    let owner = std::fs::metadata(folder)?.uid();
    let mut connected: Vec<(u32, PathBuf, io::Result<UnixStream>)> = Vec::new();
    for entry in std::fs::read_dir(folder)?.take(SOCKETS_MAX).filter_map(Result::ok) {
        let path = entry.path();
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_suffix(".sock")?.parse().ok());
        let is_own_socket =
            std::fs::symlink_metadata(&path).is_ok_and(|found| found.file_type().is_socket() && found.uid() == owner);
        let Some(pid) = pid.filter(|_| is_own_socket) else { continue };
        match connect(&path) {
            // A socket has this name only once its process listens, so that the process is gone.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                let _ = std::fs::remove_file(&path);
            }
            Ok(stream) if !is_listener_of(&stream, owner) => {}
            stream => connected.push((pid, path, stream)),
        }
    }
    connected.sort_by_key(|(pid, ..)| *pid);
    let deadline = Instant::now() + ANSWER_TIMEOUT;
    let describe = |(pid, path, stream): (u32, PathBuf, io::Result<UnixStream>)| {
        let hello = stream.map_err(connect_problem).and_then(|stream| read_hello(&stream.into(), deadline));
        ProbedProcess { pid, path, hello }
    };
    Ok(connected.into_iter().map(describe).collect())
}

fn connect_problem(error: io::Error) -> String {
    match error.kind() {
        ErrorKind::WouldBlock => SILENT.to_owned(),
        _ => error.to_string(),
    }
}

/// Why a program does not describe itself.
const SILENT: &str = "it does not answer: it may be stopped";

/// Reads the description of a program. Closing the connection afterwards leaves the program as it is.
pub fn read_hello(mut stream: &PeerStream, deadline: Instant) -> Result<Box<Hello>, String> {
    let mut decoder = AppProbeDecoder::of_connection();
    let mut received = 0;
    let mut buffer = [0; 4_096];
    while received < HELLO_BYTES_MAX {
        // At least a moment for each, although another one may have used up the time.
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(10));
        stream.set_read_timeout(Some(left)).map_err(|error| error.to_string())?;
        match stream.read(&mut buffer) {
            Ok(0) => return Err("it closed the connection".to_owned()),
            Ok(read) => {
                received += read;
                decoder.push(&buffer[..read]).map_err(|error| error.to_string())?;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Err(SILENT.to_owned());
            }
            Err(error) => return Err(error.to_string()),
        }
        if let Some(hello) = decoder.hello() {
            return Ok(Box::new(hello.clone()));
        }
    }
    Err("its description is too long".to_owned())
}
