//! One binary for all tests from outside: one line a module.

mod app;
mod snapshot;
mod stage;
mod terminal;
mod view;
