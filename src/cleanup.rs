//! Cleanup of what the program creates outside its own memory: temporary directories and child processes.
//!
//! Each is removed when its owner is dropped, or when the program exits.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal};
use tempfile::TempDir;

/// Directories that exist now.
static DIRECTORIES: Mutex<BTreeMap<PathBuf, TempDir>> = Mutex::new(BTreeMap::new());

/// Processes that have not been reaped, with whether each leads a process group.
static PROCESSES: Mutex<Vec<(Pid, bool)>> = Mutex::new(Vec::new());

fn locked<T>(mutex: &'static Mutex<T>) -> MutexGuard<'static, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Kills every remaining process and removes every remaining directory. Call it last, however the program ends.
///
/// It keeps both registries locked for good, so nothing can be started or created afterwards.
pub fn clean_up_all() {
    let (mut processes, mut directories) = (locked(&PROCESSES), locked(&DIRECTORIES));
    for (pid, is_group_leader) in std::mem::take(&mut *processes) {
        send_signal(pid, is_group_leader, Signal::KILL);
    }
    drop(std::mem::take(&mut *directories));
    std::mem::forget((processes, directories));
}

/// A child process that is killed at exit unless it was reaped.
///
/// Drop this before the process is reaped: until then the system does not reuse its process id.
#[derive(Debug)]
pub struct TrackedProcess {
    pid: Pid,
    is_group_leader: bool,
}

impl TrackedProcess {
    /// Spawns `command`. With `is_group_leader` it leads a new process group, and signals reach the whole group.
    ///
    /// # Errors
    ///
    /// If the process cannot be started.
    pub fn spawn(command: &mut Command, is_group_leader: bool) -> io::Result<(Child, Self)> {
        if is_group_leader {
            command.process_group(0);
        }
        // Spawn under the lock, so that a concurrent cleanup cannot miss the process.
        let mut processes = locked(&PROCESSES);
        let child = command.spawn()?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other("the process id is out of range"))?;
        processes.push((pid, is_group_leader));
        Ok((child, Self { pid, is_group_leader }))
    }

    /// Returns the process id.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Sends a signal to the process, or to its whole group if it leads one. Returns whether a process received it.
    pub fn signal(&self, signal: Signal) -> bool {
        send_signal(self.pid, self.is_group_leader, signal)
    }
}

impl Drop for TrackedProcess {
    fn drop(&mut self) {
        locked(&PROCESSES).retain(|(pid, _)| *pid != self.pid);
    }
}

fn send_signal(pid: Pid, is_group_leader: bool, signal: Signal) -> bool {
    let sent = match is_group_leader {
        true => rustix::process::kill_process_group(pid, signal),
        false => rustix::process::kill_process(pid, signal),
    };
    sent.is_ok()
}

/// A temporary directory with mode `0o700`, removed with its contents on drop.
#[derive(Debug)]
pub struct PrivateTempDir(PathBuf);

impl PrivateTempDir {
    /// Creates an empty directory among the system's temporary files.
    ///
    /// # Errors
    ///
    /// If the directory cannot be created.
    pub fn create() -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("loopscope-");
        builder.permissions(Permissions::from_mode(0o700));
        let mut directories = locked(&DIRECTORIES);
        let directory = builder.tempdir()?;
        let path = directory.path().to_owned();
        directories.insert(path.clone(), directory);
        Ok(Self(path))
    }

    /// Returns the path of the directory.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for PrivateTempDir {
    fn drop(&mut self) {
        // Removing the contents may take long, so it happens without the lock. A concurrent cleanup removes the rest.
        let _ = std::fs::remove_dir_all(&self.0);
        let removed = locked(&DIRECTORIES).remove(&self.0);
        drop(removed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temp_dir_is_private_and_removed_on_drop() {
        let [one, other] = [(), ()].map(|()| PrivateTempDir::create().expect("the temporary directory is writable"));
        assert_ne!(one.path(), other.path());
        let mode = one.path().metadata().expect("the directory exists").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert!(one.path().read_dir().is_ok_and(|mut entries| entries.next().is_none()));
        std::fs::write(one.path().join("file"), "text").expect("the directory is writable");
        let path = one.path().to_owned();
        drop(one);
        assert!(!path.exists() && other.path().exists());
    }
}
