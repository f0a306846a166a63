//! The permissions that the user grants a script beyond loopback sockets and a private folder.

use std::path::PathBuf;

/// What a script may access. By default it has only loopback sockets and a private temporary folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    /// Whether sockets may connect to other machines and accept connections from them.
    pub net: bool,
    /// The folder that the script may read and write. Without it, the run gets an empty one that is deleted at its end.
    pub folder: Option<PathBuf>,
}
