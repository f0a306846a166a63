//! What the program has in the world outside of it: folders of its own, and the processes that it started. Each goes with
//! whoever made it, and at the latest with the program.

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

/// Folders that are there.
static FOLDERS: Mutex<BTreeMap<PathBuf, TempDir>> = Mutex::new(BTreeMap::new());

/// Processes that were not waited for yet, and whether each leads a group.
static PROCESSES: Mutex<Vec<(Pid, bool)>> = Mutex::new(Vec::new());

fn locked<T>(mutex: &'static Mutex<T>) -> MutexGuard<'static, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends and removes all that is left, at the very end of the program, however it comes to that: nothing more can be
/// started or made after it.
pub fn sweep() {
    let (mut processes, mut folders) = (locked(&PROCESSES), locked(&FOLDERS));
    for (pid, has_group) in std::mem::take(&mut *processes) {
        signal(pid, has_group, Signal::KILL);
    }
    drop(std::mem::take(&mut *folders));
    std::mem::forget((processes, folders));
}

/// A process that was started here, until it is about to be waited for: up to then its number is nobody else's.
#[derive(Debug)]
pub struct OwnProcess {
    pid: Pid,
    has_group: bool,
}

impl OwnProcess {
    /// Starts `command`. `has_group` says that it is to lead a process group, which then goes with it.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn start(command: &mut Command, has_group: bool) -> io::Result<(Child, Self)> {
        if has_group {
            command.process_group(0);
        }
        // Locked meanwhile: no process is there of which a sweep does not know.
        let mut processes = locked(&PROCESSES);
        let child = command.spawn()?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other("the system gave it no number"))?;
        processes.push((pid, has_group));
        Ok((child, Self { pid, has_group }))
    }

    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Sends a signal to it, and to all of its group. Tells whether anybody was there.
    pub fn signal(&self, sent: Signal) -> bool {
        signal(self.pid, self.has_group, sent)
    }
}

impl Drop for OwnProcess {
    fn drop(&mut self) {
        locked(&PROCESSES).retain(|(pid, _)| *pid != self.pid);
    }
}

fn signal(pid: Pid, has_group: bool, sent: Signal) -> bool {
    let told = match has_group {
        true => rustix::process::kill_process_group(pid, sent),
        false => rustix::process::kill_process(pid, sent),
    };
    told.is_ok()
}

/// A folder that is empty when it is made, and which only this user can enter.
#[derive(Debug)]
pub struct PrivateFolder(PathBuf);

impl PrivateFolder {
    /// Makes one among the system's temporary files.
    ///
    /// # Errors
    /// Where there is no place for it.
    pub fn make() -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("loopscope-");
        builder.permissions(Permissions::from_mode(0o700));
        let mut folders = locked(&FOLDERS);
        let made = builder.tempdir()?;
        let path = made.path().to_owned();
        folders.insert(path.clone(), made);
        Ok(Self(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        // With all that is in it, which may take long: nobody else waits for that, and a sweep goes on with it.
        let _ = std::fs::remove_dir_all(&self.0);
        let gone = locked(&FOLDERS).remove(&self.0);
        drop(gone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_empty_nobody_elses_and_goes_with_its_maker() {
        let [one, other] = [(), ()].map(|()| PrivateFolder::make().expect("there is a place for it"));
        assert_ne!(one.path(), other.path());
        let mode = one.path().metadata().expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert!(one.path().read_dir().is_ok_and(|mut files| files.next().is_none()));
        std::fs::write(one.path().join("file"), "text").expect("it is ours");
        let path = one.path().to_owned();
        drop(one);
        assert!(!path.exists() && other.path().exists());
    }
}
