//! Every integration test, in one binary: a module a room.

mod app;
mod attached;
mod catalog;
mod cli;
mod foreign;
mod guide;
mod headless;
mod insight;
mod lab;
mod language;
mod laws;
mod paths;
mod person;
mod property;
mod pty;
mod readme;
mod report;
mod rig;
mod settings;
mod snapshot;
mod stage;
mod story;
mod terminal;
mod trace;
mod view;
mod workload;
