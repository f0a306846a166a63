//! Every integration test, in one binary: a module a room.

mod app;
mod archive;
mod archiving;
mod attach;
mod attach_faults;
mod attach_screen;
mod breakpoints;
mod catalog;
mod cli;
mod console_decoder;
mod console_sessions;
mod doctor;
mod duration_syntax;
mod example_app;
mod exec;
mod fake_console;
mod fake_session;
mod feed_disagreement;
mod fuzz_seeds;
#[path = "../../fuzz/src/lib.rs"]
mod fuzzed;
mod guide;
#[cfg(unix)]
mod handover;
mod headless;
mod insight;
mod lab;
mod lab_harness;
mod language;
mod layering;
mod module_graph;
mod pages;
mod probe_ring;
mod property;
mod pty;
mod readme;
mod recording;
mod report;
mod schedules;
mod serve;
mod settings;
mod snapshot;
mod sockets_and_files;
mod store;
#[path = "../../benches/synthetic.rs"]
mod synthetic;
mod tabs;
mod terminal;
mod test_user;
mod trace;
mod trace_builder;
mod view;
mod vocabulary;
mod workload;
