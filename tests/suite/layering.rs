//! The rules of ARCHITECTURE.md, checked against the source: which module may use which, no import cycles, no I/O in pure
//! modules, and a limit on the length of a file.

use std::path::Path;

use crate::module_graph::{ModuleGraph, SourceModule};

/// What each module may use of the others: a whole module, or one inside it. A module with a line of its own is held to that
/// instead of to its parent's.
const MAY_USE: &[(&str, &[&str])] = &[
    ("sanitize", &[]),
    ("cleanup", &[]),
    ("trace", &[]),
    ("control", &["trace"]),
    ("insight", &["trace"]),
    ("feed", &["sanitize", "trace", "control"]),
    ("lab", &["sanitize", "feed", "trace", "control"]),
    ("workload", &["sanitize", "cleanup", "lab", "trace", "control"]),
    ("workload::manifest", &["control"]),
    ("session::interface", &["trace", "control", "workload::manifest"]),
    ("app", &["sanitize", "insight", "trace", "control", "workload::manifest", "session::interface"]),
    ("view", &["sanitize", "app", "insight", "trace", "control", "workload::manifest", "session::interface"]),
    ("report", &["sanitize", "insight", "trace", "control", "workload::manifest"]),
    ("settings", &["sanitize", "report", "insight", "trace", "control"]),
    (
        "terminal",
        &[
            "cleanup",
            "app",
            "view",
            "insight",
            "trace",
            "control",
            "workload::manifest",
            "session::interface",
            "settings",
        ],
    ),
];

/// Modules that tie the others together, and the crate root.
const MAY_USE_ANYTHING: &[&str] = &["session", "cli", "internals"];

/// Modules without I/O, clock or thread.
const PURE: &[&str] = &["trace", "insight"];

/// What the code of a pure module never names.
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

fn is_in(path: &[String], module: &str) -> bool {
    let full = path.join("::");
    full == module || full.starts_with(&format!("{module}::"))
}

/// Every use that `module` makes of something it may not use.
fn violations(graph: &ModuleGraph, module: &SourceModule) -> Vec<String> {
    let Some(top) = module.path.first() else { return Vec::new() };
    let rule = MAY_USE.iter().filter(|(place, _)| is_in(&module.path, place)).max_by_key(|(place, _)| place.len());
    let mut violations = Vec::new();
    if let Some((own, allowed)) = rule {
        let named = module.named.iter().filter_map(|path| graph.absolute(path, module));
        for path in named.filter(|path| path.first().is_some_and(|first| graph.top_modules().contains(first))) {
            if !is_in(&path, own) && !allowed.iter().any(|allowed| is_in(&path, allowed)) {
                violations.push(format!("{} uses {}", module.name(), path.join("::")));
            }
        }
    }
    if PURE.contains(&top.as_str()) {
        for path in &module.named {
            let impure = IMPURE.iter().find(|impure| is_in(path, impure));
            violations.extend(impure.map(|impure| format!("{} uses {impure}", module.name())));
        }
    }
    violations
}

#[test]
fn modules_use_only_what_they_may() {
    let graph = ModuleGraph::of_crate();
    let found: Vec<String> = graph.modules().flat_map(|module| violations(&graph, module)).collect();
    assert!(found.is_empty(), "against the table in tests/suite/layering.rs:\n{}", found.join("\n"));
}

#[test]
fn every_module_has_a_rule() {
    let has_rule = |name: &str| MAY_USE_ANYTHING.contains(&name) || MAY_USE.iter().any(|(module, _)| *module == name);
    let without: Vec<String> =
        ModuleGraph::of_crate().top_modules().into_iter().filter(|name| !has_rule(name)).collect();
    assert!(without.is_empty(), "add to the table in tests/suite/layering.rs: {}", without.join(", "));
}

#[test]
fn no_import_cycles() {
    let cycles = ModuleGraph::of_crate().cycles();
    let listed: Vec<String> = cycles.iter().map(|cycle| cycle.join(", ")).collect();
    assert!(listed.is_empty(), "these modules import each other:\n{}", listed.join("\n"));
}

/// A crate of these modules, each a path and its source.
fn sample(modules: &[(&str, &str)]) -> ModuleGraph {
    let parse = |(path, text): &(&str, &str)| {
        let path: Vec<&str> = path.split("::").filter(|segment| !segment.is_empty()).collect();
        SourceModule::parse(&path, Path::new("sample.rs"), text)
    };
    ModuleGraph::new([("", "")].iter().chain(modules).map(parse))
}

#[test]
fn a_forbidden_use_is_seen() {
    let others = [("app", "struct Model;"), ("view", "fn draw() {}"), ("workload", ""), ("workload::catalog", "")];
    let check = |path: &str, text: &str| {
        let graph = sample(&[others.as_slice(), &[(path, text)]].concat());
        let is_checked = |module: &&SourceModule| module.name() == path;
        graph.modules().filter(is_checked).flat_map(|module| violations(&graph, module)).collect::<Vec<_>>()
    };
    assert_eq!(check("trace::lane", "use crate::{app::Model, trace::Lane};"), ["trace::lane uses app::Model"]);
    assert_eq!(check("trace", "fn f() { super::view::draw() }"), ["trace uses view::draw"]);
    assert_eq!(check("trace::lane", "use super::super::app;"), ["trace::lane uses app"]);
    assert_eq!(
        check("app::state", "use crate::workload::{catalog, manifest::{Manifest, Param}};"),
        ["app::state uses workload::catalog"]
    );
    assert_eq!(check("workload::manifest", "use super::catalog;"), ["workload::manifest uses workload::catalog"]);
    assert_eq!(check("trace", "use std::time::{Duration, Instant};"), ["trace uses std::time::Instant"]);
    assert_eq!(check("trace", "fn f() { tokio::spawn(g()) }"), ["trace uses tokio"]);
    assert_eq!(check("trace", "use tokio as runtime;"), ["trace uses tokio"]);
    assert_eq!(check("trace", "fn f() { println!(\"{}\", crate::view::draw()) }"), ["trace uses view::draw"]);
    assert_eq!(check("app", "use crate::view as v;"), ["app uses view"]);

    let none: [&str; 0] = [];
    assert_eq!(check("trace::lane", "// crate::app is not used\nuse super::event; use crate::trace::id;"), none);
    assert_eq!(check("view", "use crate::app::Model; const A: &str = \"crate::lab\";"), none);
    assert_eq!(check("workload::catalog", "use super::manifest::Manifest; use crate::lab;"), none);
    assert_eq!(check("trace", "/* use tokio; */ use std::time::Duration; fn f(c: char) -> bool { c == '\"' }"), none);
    assert_eq!(check("trace", "#[cfg(test)] mod tests { use std::fs; }"), none);
}

#[test]
fn an_import_cycle_is_seen() {
    let cycles = |modules: &[(&str, &str)]| sample(modules).cycles();
    let two = cycles(&[("a", "use crate::b::B; pub struct A;"), ("b", "fn f() { crate::a::A; } pub struct B;")]);
    assert_eq!(two, [["a", "b"]]);
    // A re-export does not hide where an item is defined.
    let siblings = cycles(&[
        ("p", "pub use x::X; pub use y::Y;"),
        ("p::x", "use super::Y; pub struct X(Y);"),
        ("p::y", "use crate::p::X; pub struct Y(Option<Box<X>>);"),
    ]);
    assert_eq!(siblings, [["p::x", "p::y"]]);
    let through_an_alias =
        cycles(&[("a", "use crate::b; fn f() { b::g() }"), ("b", "use crate::a as other; fn g() { other::f() }")]);
    assert_eq!(through_an_alias, [["a", "b"]]);
    let nephew = cycles(&[
        ("p", ""),
        ("p::x", "use super::y::z::Z; pub struct X;"),
        ("p::y", ""),
        ("p::y::z", "use crate::p::x::X; pub struct Z;"),
    ]);
    assert_eq!(nephew, [["p::x", "p::y::z"]]);

    let none: [[&str; 1]; 0] = [];
    assert_eq!(cycles(&[("p", "pub use x::X; pub struct P;"), ("p::x", "use super::P; pub struct X(P);")]), none);
    assert_eq!(cycles(&[("a", "use crate::b::B;"), ("b", "pub struct B;"), ("c", "use crate::{a, b::B};")]), none);
}

#[test]
fn files_are_short_and_start_with_docs() {
    let mut found = Vec::new();
    for module in ModuleGraph::of_crate().modules() {
        let file = module.file.display();
        let lines = module.text.lines().count();
        if lines > FILE_LINES_MAX {
            found.push(format!("{file}: {lines} lines: is there a second module inside?"));
        }
        if !module.text.starts_with("//!") {
            found.push(format!("{file}: does not open with //!"));
        }
        if module.file.ends_with("mod.rs") {
            found.push(format!("{file}: name.rs beside name/, no mod.rs"));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
