//! Python asyncio programs and their Lua twins: a twin prints in the lab what `scripts/record-twins` recorded of the
//! Python program on a virtual clock, in the same order and at the same times.

use std::path::{Path, PathBuf};

use crate::lab_harness;
use crate::workload::output_lines;
use loopscope::workload::{build_program, script};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/twins")
}

/// Returns the files of the folder with this extension, sorted.
fn files(extension: &str) -> Vec<PathBuf> {
    let folder = std::fs::read_dir(folder()).expect("readable folder");
    let mut files: Vec<_> = folder.map(|entry| entry.expect("readable folder").path()).collect();
    files.retain(|path| path.extension().is_some_and(|found| found == extension));
    files.sort();
    files
}

#[test]
fn twins_print_what_asyncio_prints() {
    let mut different = Vec::new();
    for path in files("lua") {
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a plain name").to_owned();
        let text = std::fs::read_to_string(&path).expect("readable");
        let expected = std::fs::read_to_string(path.with_extension("expected")).expect("a recorded output");
        let manifest = script::read_manifest(&name, &format!("{name}.lua"), &text).unwrap_or_else(|e| panic!("{e}"));
        let ran = lab_harness::run(build_program(&manifest, vec![]).expect("it loads"), 0);
        let printed = output_lines(&ran).join("\n");
        if printed != expected.trim_end() {
            different.push(format!("{name}: {:?}\n{printed}\n-- expected:\n{expected}", ran.outcome));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn every_twin_is_a_pair() {
    let names = |extension| files(extension).iter().map(|path| path.with_extension("")).collect::<Vec<_>>();
    assert_eq!(names("py").len(), 40);
    assert_eq!(names("py"), names("lua"));
    assert_eq!(names("py"), names("expected"));
}
