//! The error of looking for a workload.

use super::fault::ScriptError;

/// The reason why a workload cannot be found or loaded.
#[derive(Debug, thiserror::Error)]
pub enum FindWorkloadError {
    /// No workload has this name.
    #[error("unknown workload `{name}`{advice}; `loopscope workloads` lists all")]
    Unknown {
        /// The name as the user gave it.
        name: String,
        /// A suggestion that continues the message, or an empty string.
        advice: String,
    },
    /// The script file, or the workload folder, cannot be read.
    #[error("{path}: {reason}")]
    Unreadable {
        /// The path of the file or folder.
        path: String,
        /// Why it cannot be read.
        reason: String,
    },
    /// The file was read, but the script is invalid.
    #[error(transparent)]
    Script(#[from] ScriptError),
}
