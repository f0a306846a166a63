//! Every integration test, in one binary: a module a room.

mod app;
mod attach;
mod catalog;
mod cli;
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
mod settings;
mod snapshot;
mod stage;
mod story;
mod terminal;
mod trace;
mod view;
mod workload;
