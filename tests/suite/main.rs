//! One test binary, a module a room.

mod cli;
mod laws;
mod paths;
mod readme;
mod report;
mod settings;
