//! console-subscriber's updates, turned into events: ids of the wire become ids of the trace, here and nowhere else.
//!
//! There are two doors, for our own loop ([`Door`]) and for programs that are not ours ([`ForeignDoor`]), and one
//! mechanism: what a field means ([`facts`]), what a span id means ([`Spans`]), and how resources and async operations
//! become awaits ([`Operations`]) is the same behind both.

pub mod facts;
mod foreign;
mod histogram;
mod operations;
mod own;
mod resources;
mod spans;
mod stamps;
mod texts;

pub use foreign::{ForeignDoor, Polls};
pub use histogram::histograms;
pub use operations::Operations;
pub use own::{Anchor, Door, TaskNumbers};
pub use spans::Spans;
pub use stamps::{Stamp, Stamps, Times};
pub use texts::{FILE_BYTES_MAX, NAME_BYTES_MAX, Texts, cut};
