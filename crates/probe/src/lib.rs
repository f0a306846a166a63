//! Records every poll, wake and await of a tokio program, exactly and cheaply, for the inspector
//! [loopscope](https://docs.rs/loopscope).
//!
//! ```
//! use loopscope_probe::AwaitAs;
//!
//! fn main() -> std::io::Result<()> {
//!     // First in `main`, until its end.
//!     let _probe = loopscope_probe::init();
//!     // Where the runtime is built. `#[tokio::main]` works too, with fewer facts.
//!     let mut builder = tokio::runtime::Builder::new_multi_thread();
//!     let runtime = loopscope_probe::runtime(&mut builder).enable_all().build()?;
//!     runtime.block_on(async {
//!         let (sender, mut orders) = tokio::sync::mpsc::channel(8);
//!         tokio::spawn(async move { sender.send(1).await });
//!         // Names an await about which tokio reports nothing.
//!         while let Some(order) = orders.recv().await_as("receive order").await {
//!             assert_eq!(order, 1);
//!         }
//!     });
//!     Ok(())
//! }
//! ```
//!
//! Then `loopscope attach` shows the program.
//!
//! | to | use |
//! |---|---|
//! | set the probe up | [`init`], or [`builder`] with options |
//! | add it to a `tracing_subscriber` registry | [`layer`] |
//! | report parks and how tasks end | [`runtime`] |
//! | name an await | [`AwaitAs::await_as`] |
//! | permit pausing and stepping | [`Guard::allow_control`] |
//! | hold and cancel single tasks | [`spawn`] |
//! | keep the last events in memory | [`Builder::flight_recorder`] |
//! | write them into a file | [`dump`], [`Builder::dump_on_panic`], [`Builder::dump_on_signal`] |
//! | attach from another machine | [`Builder::listen_tcp`] |
//! | speak the protocol | [`protocol`], [`record`], [`handshake`] |
//!
//! Build with `--cfg tokio_unstable`: without it, tokio reports neither polls nor wakes, and only named awaits and parks
//! are recorded. While loopscope is not attached and no flight recorder runs, an event costs one relaxed load; spawns and
//! new resources are entered into a table, so that a later attach knows them.
//!
//! The probe contains no `unsafe` code. It starts a thread `loopscope-probe` that listens on a Unix socket of mode 0600,
//! one more for each of the flight recorder, a signal and TCP, if they are asked for, and one or two more while loopscope
//! is attached. If loopscope ends or does not read, the program goes on; what does not
//! fit into the memory limit is dropped and counted.

// Without the hooks for tasks, what serves them only is unused.
#![cfg_attr(not(tokio_unstable), allow(dead_code))]

mod await_as;
mod breakpoint;
mod clock;
mod collector;
mod connection;
mod control;
mod events;
mod gate;
pub mod handshake;
mod hello;
mod hold;
mod hooks;
#[cfg(feature = "layer")]
mod layer;
mod live;
mod operations;
mod peer_stream;
mod problems;
pub mod protocol;
mod queues;
pub mod record;
mod recorder;
mod recording_file;
mod references;
// Shared with the lab of loopscope. Not part of the stable interface.
#[doc(hidden)]
pub mod ring;
mod setup;
mod signal_dump;
mod sites;
mod slots;
mod snapshot;
mod socket;
mod spawn;
mod subscriber;
mod tasks;
mod tcp;
mod thread;
mod vocabulary;

pub use await_as::{AwaitAs, NamedAwait};
pub use hooks::runtime;
#[cfg(feature = "layer")]
pub use layer::{ProbeLayer, layer};
pub use peer_stream::PeerStream;
pub use recorder::dump;
pub use setup::{Builder, Guard, builder, init};
pub use socket::{check_socket_folder, socket_folder};
pub use spawn::spawn;
