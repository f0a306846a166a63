//! The trace as bytes: what was sealed, once and in order, and everything that still changes, as often as one likes.
//!
//! Pieces, each self-contained: [`Trace::told_since`] names tasks, sites and lines of output before anything refers to
//! them; [`Trace::sealed_since`] gives sealed blocks, packed as they are in memory; [`Trace::ended_since`] says what ended
//! of what came before; [`Trace::rest`] is what no block has yet, and the sums. Told pieces and blocks in order with the last rest make the same trace again, see
//! [`Loader`]; without the rest they make all of it but its newest end. Nothing here does I/O.

mod blocks;
mod load;
mod rest;
mod told;

pub use load::{Damage, Loader};

use super::event::Nanos;

/// How far a trace has been told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cursor {
    tasks: usize,
    sites: usize,
    lines: u64,
    blocks: u64,
    late: u64,
    ends: u64,
    /// Blocks that were forgotten before they could be told.
    pub lost_blocks: u64,
    /// When what they were of happened: from when to when.
    lost: Option<(Nanos, Nanos)>,
    /// Loop time when blocks were told last.
    until: Nanos,
}
