//! One thing being looked at: its trace, the feeds that fill it and, where it can be controlled, its control. One file a
//! kind of source.

mod lab;

pub use lab::LabSession;
