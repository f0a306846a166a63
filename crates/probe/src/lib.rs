//! Records every poll, wake and await of a tokio program, exactly and cheaply, for the inspector
//! [loopscope](https://docs.rs/loopscope).

mod await_as;
mod breakpoint;
mod clock;
mod collector;
mod connection;
mod control;
mod events;
mod gate;
mod hello;
mod hooks;
#[cfg(feature = "layer")]
mod layer;
mod live;
mod operations;
pub mod protocol;
pub mod record;
mod references;
mod ring;
mod setup;
mod sites;
mod slots;
mod socket;
mod spawn;
mod subscriber;
mod tasks;
mod thread;
mod vocabulary;

pub use await_as::{AwaitAs, NamedAwait};
pub use hooks::runtime;
#[cfg(feature = "layer")]
pub use layer::{ProbeLayer, layer};
pub use setup::{Builder, Guard, builder, init};
pub use socket::{check_socket_folder, socket_folder};
pub use spawn::spawn;
