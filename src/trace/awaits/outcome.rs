//! How an await ended.

/// The outcome of an await.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AwaitOutcome {
    /// Its last poll returned ready.
    Ready,
    /// Dropped before it was ready.
    Cancelled,
    /// Dropped; not known whether it was ready.
    Unknown,
    /// Not dropped yet.
    Pending,
}

impl AwaitOutcome {
    /// Returns the name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
            Self::Pending => "pending",
        }
    }
}
