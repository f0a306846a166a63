//! Every integration test, in one binary: a module a room.

mod app;
mod attached;
mod breaks;
mod catalog;
mod cli;
#[cfg(unix)]
mod errands;
mod foreign;
mod guide;
mod headless;
mod insight;
mod lab;
mod language;
mod laws;
mod machine;
mod outside;
mod paths;
mod person;
mod property;
mod pty;
mod readme;
mod recording;
mod report;
mod rig;
mod schedules;
mod serve;
mod settings;
mod snapshot;
mod stage;
mod story;
mod tabs;
mod terminal;
mod trace;
mod view;
mod workload;
