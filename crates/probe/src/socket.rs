//! The socket on which a program is found.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Sockets in the folder that are examined, so that a crowded folder costs a bounded time.
const SOCKETS_MAX: usize = 1 << 10;

/// Returns the folder that holds the sockets of this user's programs. It may not exist.
pub fn socket_folder() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty()) {
        Some(folder) => Path::new(&folder).join("loopscope"),
        None => std::env::temp_dir().join(format!("loopscope-{}", rustix::process::getuid().as_raw())),
    }
}

/// Checks that a folder belongs to this user, and that no other user can enter it.
///
/// # Errors
/// Fails if the folder does not exist or is not private.
pub fn check_socket_folder(folder: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(folder)?;
    let is_private = metadata.is_dir()
        && metadata.uid() == rustix::process::getuid().as_raw()
        && metadata.permissions().mode().trailing_zeros() >= 6;
    if is_private {
        return Ok(());
    }
    let problem = format!("`{}` is not a folder that only this user can enter", folder.display());
    Err(io::Error::new(ErrorKind::PermissionDenied, problem))
}

/// A socket that listens. It is removed with this value, unless that happens in another process.
pub(crate) struct ListeningSocket {
    pub(crate) listener: UnixListener,
    pub(crate) path: PathBuf,
}

impl ListeningSocket {
    /// Listens on the socket of this process.
    pub(crate) fn bind() -> io::Result<Self> {
        let folder = socket_folder();
        match fs::DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => check_socket_folder(&folder)?,
        }
        remove_stale(&folder);
        let path = folder.join(format!("{}.sock", std::process::id()));
        // A socket with the name of the process refuses connections only if it is left from an earlier process, so that
        // it can be removed. This one therefore gets its name when it accepts them.
        let nameless = folder.join(format!("{}.new", std::process::id()));
        remove_socket(&nameless);
        let listener = UnixListener::bind(&nameless)?;
        let named = fs::set_permissions(&nameless, fs::Permissions::from_mode(0o600))
            .and_then(|()| fs::rename(&nameless, &path));
        if let Err(error) = named {
            remove_socket(&nameless);
            return Err(error);
        }
        Ok(Self { listener, path })
    }
}

fn remove_socket(path: &Path) {
    if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket()) {
        let _ = fs::remove_file(path);
    }
}

/// Removes the sockets of processes that have ended.
fn remove_stale(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().take(SOCKETS_MAX).map(|entry| entry.path()) {
        let pid = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".sock")?.parse().ok());
        let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) else { continue };
        let is_gone = rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH);
        // The process may live in another PID namespace, so it must not listen either.
        if is_gone && UnixStream::connect(&path).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused) {
            remove_socket(&path);
        }
    }
}

/// Removes the socket of this process.
pub(crate) fn remove_own(path: &Path, pid: u32) {
    if std::process::id() == pid {
        remove_socket(path);
    }
}
