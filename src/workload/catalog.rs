//! What there is to run. A stand-in until the workload room brings its own: nothing is built in yet.

use super::manifest::Manifest;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no workload `{name}`: `loopscope workloads` lists them")]
pub struct NotFound {
    name: String,
}

pub fn all() -> Vec<Manifest> {
    Vec::new()
}

/// The workload called `name`, or the script at that path.
pub fn find(name: &str) -> Result<Manifest, NotFound> {
    Err(NotFound { name: name.to_owned() })
}
