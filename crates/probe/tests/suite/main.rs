//! Tests of the probe against real programs: this binary starts itself as the program, and reads its stream.
#![cfg(tokio_unstable)]

mod apps;
mod attach;
mod awaits;
mod control;
mod counts;
mod ends;
mod flight;
mod peer;
mod queues;
mod tcp;
