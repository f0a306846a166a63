//! Every integration test, in one binary: a module a room.

mod app;
mod archive;
mod attach;
mod attach_faults;
mod attached;
mod breaks;
mod catalog;
mod cli;
mod doctor;
mod door;
#[cfg(unix)]
mod errands;
mod exec;
mod fake_console;
mod foreign;
#[path = "../../fuzz/src/lib.rs"]
mod fuzzed;
mod guide;
mod headless;
mod insight;
mod lab;
mod language;
mod laws;
mod machine;
mod outside;
mod pages;
mod paths;
mod person;
mod property;
mod pty;
mod readme;
mod recorded;
mod recording;
mod report;
mod rig;
mod ring;
mod schedules;
mod seeds;
mod serve;
mod settings;
mod snapshot;
mod stage;
mod store;
mod story;
#[path = "../../benches/synthetic.rs"]
mod synthetic;
mod tabs;
mod terminal;
mod trace;
mod view;
mod witnesses;
mod workload;
