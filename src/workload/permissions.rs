//! What a person lets a script reach beyond this machine's own sockets and a folder of its own.

use std::path::PathBuf;

/// Nothing is allowed unless it is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    /// Sockets may reach other machines, and be reached from them.
    pub net: bool,
    /// The script's files are in this folder, which stays. Without it they are in an empty one that goes with the run.
    pub folder: Option<PathBuf>,
}
