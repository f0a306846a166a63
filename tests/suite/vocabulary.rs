//! The language of the project, checked: words that the glossary of ARCHITECTURE.md replaces, unique type names, and short
//! test names.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

use crate::module_graph::rust_files;

/// Words and phrases with a plainer or more usual form. Matched as whole words, whatever their case.
const REPLACED: &[(&str, &str)] = &[
    ("told", "reported, received, published"),
    ("teller", "the role: decoder, replayer"),
    ("nobody", "no task, no user, nothing"),
    ("somebody", "a user, another program"),
    ("witness", "feed"),
    ("witnesses", "feeds"),
    ("mend", "fix, correct"),
    ("mends", "fixes, corrects"),
    ("mended", "fixed, corrected"),
    ("lest", "so that … not"),
    ("whence", "where … from"),
    ("belongings", "cleanup"),
    ("person", "user"),
    ("persons", "users"),
    ("see the module", "the sentence itself"),
    ("the same,", "the sentence itself"),
    ("that is ours", "of loopscope"),
    ("from where on", "the first index"),
    ("until when", "the end"),
    ("for long", "for a long time"),
    ("at the latest", "if not before, or earlier"),
    ("of another kind", "has the wrong type"),
    ("recording of console-subscriber", "console-subscriber recording"),
    ("recordings of console-subscriber", "console-subscriber recordings"),
    ("archive of loopscope", "loopscope archive"),
    ("archives of loopscope", "loopscope archives"),
];

/// Where a replaced word has to stand: names of the report's schema.
const EXEMPT: &[&str] = &["\"person\"", "`person`", "|person|"];

/// Characters of the longest test name.
const TEST_NAME_CHARS_MAX: usize = 50;

/// Type names that stand for one concept in two representations, each pair with its reason.
const SHARED_TYPE_NAMES: &[(&str, &str)] = &[];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every text file below `folder`.
fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder is part of the repository") {
        let path = entry.expect("the folder can be listed").path();
        if path.is_dir() {
            files_below(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// The replaced words in `text`, each with its line number, counted from 1.
fn replaced_words(text: &str) -> Vec<(usize, &'static str)> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let mut line = line.to_lowercase();
        for exempt in EXEMPT {
            line = line.replace(exempt, "");
        }
        // A herd thunders, or is none.
        let herds = line.matches("herd").count() - line.matches("thundering herd").count();
        let herds = herds - line.matches("thundering-herd").count() - line.matches("thundering_herd").count();
        if herds > line.matches("thunderingherd").count() {
            found.push((number + 1, "herd"));
        }
        for (word, _) in REPLACED {
            let stands_alone = |(at, _): (usize, &str)| {
                let before = line[..at].chars().next_back();
                let after = line[at + word.len()..].chars().next();
                !before.is_some_and(is_word) && (word.ends_with(',') || !after.is_some_and(is_word))
            };
            if line.match_indices(word).any(stands_alone) {
                found.push((number + 1, word));
            }
        }
    }
    found
}

#[test]
fn replaced_words_stay_out() {
    let mut files = Vec::new();
    for folder in ["src", "docs", "benches", "examples", "tests/apps", "tests/suite"] {
        files_below(&root().join(folder), &mut files);
    }
    // `workloads` stays out, and what its scripts print: they tell stories.
    files.retain(|file| !file.ends_with("catalog.rs"));
    files.extend(["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(|name| root().join(name)));
    files.retain(|file| !file.ends_with("vocabulary.rs"));
    let mut found = Vec::new();
    for file in files {
        // Seeds of fuzz targets are not text.
        let Ok(text) = fs::read_to_string(&file) else { continue };
        let name = file.strip_prefix(root()).expect("the file was found there").display().to_string();
        for (line, word) in replaced_words(&text) {
            let better = REPLACED.iter().find(|(replaced, _)| *replaced == word).map_or("crowd", |(_, better)| better);
            found.push(format!("{name}:{line}: `{word}`: say {better}"));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_replaced_word_is_seen() {
    let words = |text| replaced_words(text).into_iter().map(|(_, word)| word).collect::<Vec<_>>();
    assert_eq!(words("what was told"), ["told"]);
    assert_eq!(words("Told twice"), ["told"]);
    assert_eq!(words("/// The same, for tasks"), ["the same,"]);
    assert_eq!(words("five tasks are a herd"), ["herd"]);
    let none: [&str; 0] = [];
    assert_eq!(words("a recommended way, untold personal mending, \"person\""), none);
    assert_eq!(words("a thundering herd, `thundering-herd`, ThunderingHerd"), none);
}

/// Names of types and of tests in one file.
#[derive(Default)]
struct Names {
    types: Vec<String>,
    tests: Vec<String>,
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.types.push(item.ident.to_string());
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.types.push(item.ident.to_string());
        visit::visit_item_enum(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.types.push(item.ident.to_string());
        visit::visit_item_trait(self, item);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.types.push(item.ident.to_string());
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if item.attrs.iter().any(|attribute| attribute.path().is_ident("test")) {
            self.tests.push(item.sig.ident.to_string());
        }
        visit::visit_item_fn(self, item);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        // Tests inside `proptest! { … }`.
        if call.path.is_ident("proptest")
            && let Ok(file) = syn::parse2::<syn::File>(call.tokens.clone())
        {
            self.visit_file(&file);
        }
    }
}

/// The names in every Rust file of the repository, by file.
fn names() -> BTreeMap<PathBuf, Names> {
    let folders = ["src", "tests", "benches", "examples", "fuzz"];
    // A package of the crate lacks the workspace in `fuzz`.
    let folders = folders.iter().map(|folder| root().join(folder)).filter(|folder| folder.is_dir());
    let files = folders.flat_map(|folder| rust_files(&folder));
    let read = |file: PathBuf| {
        let parsed = syn::parse_file(&fs::read_to_string(&file).expect("source is text")).expect("source compiles");
        let mut names = Names::default();
        names.visit_file(&parsed);
        (file, names)
    };
    files.filter(|file| !file.components().any(|part| part.as_os_str() == "target")).map(read).collect()
}

#[test]
fn type_names_are_unique() {
    let mut files_by_name: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (file, names) in names() {
        let file = file.strip_prefix(root()).expect("the file was found there").display().to_string();
        for name in names.types {
            files_by_name.entry(name).or_default().push(file.clone());
        }
    }
    let is_allowed = |name: &str| SHARED_TYPE_NAMES.iter().any(|(shared, _)| *shared == name);
    let shared: Vec<String> = files_by_name
        .iter()
        .filter(|(name, files)| files.len() > 1 && !is_allowed(name))
        .map(|(name, files)| format!("{name}: {}", files.join(", ")))
        .collect();
    assert!(shared.is_empty(), "types that share a name:\n{}", shared.join("\n"));
}

#[test]
fn test_names_are_short() {
    let names = names();
    let tests = names.iter().flat_map(|(file, names)| names.tests.iter().map(move |test| (file, test)));
    let long: Vec<String> = tests
        .filter(|(_, test)| test.len() > TEST_NAME_CHARS_MAX)
        .map(|(file, test)| format!("{}: {test}", file.display()))
        .collect();
    assert!(long.is_empty(), "more than {TEST_NAME_CHARS_MAX} characters:\n{}", long.join("\n"));
}
