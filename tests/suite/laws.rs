//! The laws of the house, held against the source itself: which room may name which, and what no room may be.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::paths::{paths, without_comments_and_text};

/// What each room may name of the others: a whole room, or one module of it. A room that is not here may name
/// anything: the binary and the outermost rooms.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("plain", &[]),
    ("belongings", &[]),
    ("trace", &[]),
    ("control", &["trace"]),
    ("insight", &["trace"]),
    ("feed", &["plain", "trace", "control"]),
    ("lab", &["plain", "feed", "trace", "control"]),
    ("workload", &["plain", "belongings", "lab", "trace", "control"]),
    ("workload::manifest", &["control"]),
    ("app", &["plain", "insight", "trace", "control", "workload::manifest"]),
    ("view", &["plain", "app", "insight", "trace", "control", "workload::manifest"]),
    ("report", &["plain", "insight", "trace", "control", "workload::manifest"]),
    ("settings", &["plain", "report", "insight", "trace", "control"]),
    ("terminal", &["belongings", "app", "view", "insight", "trace", "control", "workload::manifest", "settings"]),
];

/// Rooms that tie the others together.
const MAY_NAME_ANYTHING: &[&str] = &["session", "cli"];

/// Rooms without I/O, clock or thread, and what their code therefore never names.
const PURE: &[&str] = &["trace", "insight"];
const IMPURE: &[&str] = &[
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::fs",
    "std::net",
    "std::process",
    "std::env",
    "tokio",
    "tonic",
    "console_api",
    "console_subscriber",
    "tracing",
    "mlua",
    "ratatui",
    "crossterm",
];

/// Lines of the longest file.
const FILE_LINES_MAX: usize = 400;

/// One source file: `module` is its path in the crate.
struct File {
    path: PathBuf,
    module: Vec<String>,
    text: String,
}

fn files() -> Vec<File> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("the folder is part of the repository") {
            let path = entry.expect("the folder can be read to its end").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&source, &mut found);
    found.sort();
    found
        .into_iter()
        .map(|path| {
            let inside = path.strip_prefix(&source).expect("it was found there").with_extension("");
            let module = inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            let text = fs::read_to_string(&path).expect("source is text");
            File { path, module, text }
        })
        .collect()
}

/// Every place where `text`, the source of `module`, names a room that it may not.
fn breaches(module: &[String], text: &str, rooms: &BTreeSet<String>) -> Vec<String> {
    let code = without_comments_and_text(text);
    let named = paths(&code).into_iter().filter_map(|path| resolve(&path, module));
    let mut breaches = Vec::new();
    let own = &module[0];
    for path in named {
        let Some(room) = path.first().filter(|room| rooms.contains(*room)) else { continue };
        let full = path.join("::");
        let is_in = |place: &str| full == place || full.starts_with(&format!("{place}::"));
        // A module with a line of its own is held to that instead of to its room's.
        let strict = MAY_NAME.iter().find(|(place, _)| place.contains("::") && module.join("::") == *place);
        let Some((_, allowed)) = strict.or_else(|| MAY_NAME.iter().find(|(place, _)| place == own)) else { continue };
        let at_home = if strict.is_some() { is_in(&module.join("::")) } else { room == own };
        if !at_home && !allowed.iter().any(|place| is_in(place)) {
            breaches.push(format!("{} names {full}", module.join("::")));
        }
    }
    if PURE.contains(&own.as_str()) {
        for path in paths(&code) {
            let full = path.join("::");
            let impure = IMPURE.iter().find(|name| full == **name || full.starts_with(&format!("{name}::")));
            breaches.extend(impure.map(|name| format!("{} names {name}", module.join("::"))));
        }
    }
    breaches
}

/// A path in the crate from its root; `None` for one into another crate or one that is relative to something local.
fn resolve(path: &[String], module: &[String]) -> Option<Vec<String>> {
    let supers = path.iter().take_while(|part| *part == "super").count();
    match path.first()?.as_str() {
        "crate" | "loopscope" => Some(path[1..].to_vec()),
        "super" => {
            let kept = module.len().checked_sub(supers)?;
            Some(module[..kept].iter().chain(&path[supers..]).cloned().collect())
        }
        _ => None,
    }
}

fn rooms() -> BTreeSet<String> {
    files().iter().map(|file| file.module[0].clone()).filter(|room| room != "lib" && room != "main").collect()
}

#[test]
fn facts_flow_one_way() {
    let rooms = rooms();
    let found: Vec<String> = files()
        .iter()
        .filter(|file| file.module[0] != "lib" && file.module[0] != "main")
        .flat_map(|file| breaches(&file.module, &file.text, &rooms))
        .collect();
    assert!(found.is_empty(), "the law of one direction is broken:\n{}", found.join("\n"));
}

#[test]
fn every_room_has_its_law() {
    let lawless: Vec<String> = rooms()
        .into_iter()
        .filter(|room| !MAY_NAME_ANYTHING.contains(&room.as_str()) && !MAY_NAME.iter().any(|(name, _)| name == room))
        .collect();
    assert!(lawless.is_empty(), "say in tests/suite/laws.rs what these rooms may name: {}", lawless.join(", "));
}

#[test]
fn a_broken_law_is_seen() {
    let rooms: BTreeSet<String> = ["trace", "app", "view", "workload", "lab"].map(String::from).into();
    let broken = |module: &str, text: &str| {
        let module: Vec<String> = module.split("::").map(String::from).collect();
        breaches(&module, text, &rooms)
    };
    assert_eq!(broken("trace::lane", "use crate::{app::Model, trace::Lane};"), ["trace::lane names app::Model"]);
    assert_eq!(broken("trace", "fn f() { super::view::draw() }"), ["trace names view::draw"]);
    assert_eq!(broken("trace::lane", "use super::super::app;"), ["trace::lane names app"]);
    assert_eq!(
        broken("app::state", "use crate::workload::{catalog, manifest::{Manifest, Param}};"),
        ["app::state names workload::catalog"]
    );
    assert_eq!(broken("workload::manifest", "use super::catalog;"), ["workload::manifest names workload::catalog"]);
    assert_eq!(broken("trace", "use std::time::{Duration, Instant};"), ["trace names std::time::Instant"]);
    assert_eq!(broken("trace", "fn f() { tokio::spawn(g()) }"), ["trace names tokio"]);
    assert_eq!(broken("trace", "use tokio as runtime;"), ["trace names tokio"]);
    assert_eq!(broken("app", "use crate::view as v;"), ["app names view"]);

    let none: [&str; 0] = [];
    assert_eq!(broken("trace::lane", "// crate::app is not named\nuse super::event; use crate::trace::id;"), none);
    assert_eq!(broken("view", "use crate::app::Model; const A: &str = \"crate::lab\";"), none);
    assert_eq!(broken("workload::catalog", "use super::manifest::Manifest; use crate::lab;"), none);
    assert_eq!(broken("trace", "/* use tokio; */ use std::time::Duration; fn f(c: char) -> bool { c == '\"' }"), none);
}

#[test]
fn no_file_is_too_long_and_each_says_what_it_is_for() {
    let mut found = Vec::new();
    for file in files() {
        let lines = file.text.lines().count();
        if lines > FILE_LINES_MAX {
            found.push(format!("{}: {lines} lines: is there a second room inside?", file.path.display()));
        }
        if !file.text.starts_with("//!") {
            found.push(format!("{}: does not open with //!", file.path.display()));
        }
        if file.path.ends_with("mod.rs") {
            found.push(format!("{}: name.rs beside name/, no mod.rs", file.path.display()));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
