//! Every integration test, in one binary: a module a room.

mod app;
mod catalog;
mod cli;
#[cfg(unix)]
mod errands;
mod guide;
mod headless;
mod insight;
mod lab;
mod language;
mod laws;
mod outside;
mod paths;
mod property;
mod pty;
mod readme;
mod report;
mod rig;
mod schedules;
mod serve;
mod settings;
mod snapshot;
mod stage;
mod story;
mod terminal;
mod trace;
mod view;
mod workload;
