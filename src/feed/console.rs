//! Decoders of console-subscriber's updates. Wire ids are mapped to trace ids here and nowhere else.
//!
//! There are two decoders: [`OwnConsoleDecoder`] for the embedded loop and [`ConsoleDecoder`] for other programs. They
//! share how fields are read (`task_stats`), how span ids are resolved (`span_map`), and how resources and async
//! operations become awaits (`async_op_decoder`).

mod async_op_decoder;
mod decoder;
mod histogram;
mod own_decoder;
mod publish_lag;
mod resource_decoder;
mod span_map;
mod task_stats;
mod text_interner;
mod update_rhythm;
mod wire_clock;

pub use decoder::{ConsoleDecoder, PollSource};
pub use histogram::decode_histograms;
pub use own_decoder::{ClockAnchor, OwnConsoleDecoder, TokioTaskIds};
pub(super) use publish_lag::PublishLag;
pub(super) use task_stats::is_spawn;
pub(super) use text_interner::{FILE_BYTES_MAX, NAME_BYTES_MAX, TextInterner};
pub use wire_clock::WireTimestamp;
