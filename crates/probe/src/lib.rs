//! Records every poll, wake and await of a tokio program, exactly and cheaply, for the inspector
//! [loopscope](https://docs.rs/loopscope).

pub mod protocol;
pub mod record;
