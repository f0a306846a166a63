//! The module graph of `src`: which module names which item of which other module, read from the source with `syn`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// A path such as `crate::trace::Event`, one string per segment.
pub type ItemPath = Vec<String>;

/// One source file of the crate.
pub struct SourceModule {
    /// Path of the module in the crate, without `crate`; empty for `lib.rs`.
    pub path: ItemPath,
    /// The file, for messages.
    pub file: PathBuf,
    /// The source as written.
    pub text: String,
    /// Every path that the code names, outside test modules, as written.
    pub named: BTreeSet<ItemPath>,
    /// Items defined at the top of the file.
    definitions: BTreeSet<String>,
    /// What each imported name stands for: the path as written in its `use`.
    imports: BTreeMap<String, ItemPath>,
}

impl SourceModule {
    /// Parses the source `text` of the module `path`.
    pub fn parse(path: &[&str], file: &Path, text: &str) -> Self {
        let parsed = syn::parse_file(text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let mut module = Self {
            path: path.iter().map(|&segment| segment.to_owned()).collect(),
            file: file.to_owned(),
            text: text.to_owned(),
            named: BTreeSet::new(),
            definitions: BTreeSet::new(),
            imports: BTreeMap::new(),
        };
        module.visit_file(&parsed);
        module
    }

    /// The name for messages: `trace::lane`, or `crate` for the root.
    pub fn name(&self) -> String {
        if self.path.is_empty() { "crate".to_owned() } else { self.path.join("::") }
    }

    fn import(&mut self, tree: &syn::UseTree, prefix: &[String]) {
        match tree {
            syn::UseTree::Path(path) => self.import(&path.tree, &joined(prefix, &path.ident)),
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.import(item, prefix)),
            syn::UseTree::Glob(_) => self.named.extend([prefix.to_vec()]),
            syn::UseTree::Name(name) if name.ident == "self" => {
                let own_name = prefix.last().cloned().unwrap_or_default();
                self.record_import(own_name, prefix.to_vec());
            }
            syn::UseTree::Name(name) => self.record_import(name.ident.to_string(), joined(prefix, &name.ident)),
            syn::UseTree::Rename(rename) => {
                self.record_import(rename.rename.to_string(), joined(prefix, &rename.ident));
            }
        }
    }

    fn record_import(&mut self, name: String, path: ItemPath) {
        self.named.insert(path.clone());
        self.imports.insert(name, path);
    }

    /// Records the paths among the tokens of a macro call, which `syn` does not parse.
    fn read_tokens(&mut self, tokens: TokenStream) {
        let mut path = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.named.extend(path_of_two(&mut path));
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                other => {
                    self.named.extend(path_of_two(&mut path));
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.read_tokens(group.stream());
                    }
                }
            }
        }
        self.named.extend(path_of_two(&mut path));
    }
}

/// Takes the collected path, where it has two segments or more.
fn path_of_two(path: &mut ItemPath) -> Option<ItemPath> {
    Some(std::mem::take(path)).filter(|path| path.len() > 1)
}

fn joined(prefix: &[String], ident: &syn::Ident) -> ItemPath {
    prefix.iter().cloned().chain([ident.to_string()]).collect()
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
    })
}

impl<'ast> Visit<'ast> for SourceModule {
    fn visit_file(&mut self, file: &'ast syn::File) {
        for item in &file.items {
            let defined = match item {
                syn::Item::Const(item) => Some(&item.ident),
                syn::Item::Enum(item) => Some(&item.ident),
                syn::Item::Fn(item) => Some(&item.sig.ident),
                syn::Item::Macro(item) => item.ident.as_ref(),
                syn::Item::Static(item) => Some(&item.ident),
                syn::Item::Struct(item) => Some(&item.ident),
                syn::Item::Trait(item) => Some(&item.ident),
                syn::Item::Type(item) => Some(&item.ident),
                _ => None,
            };
            self.definitions.extend(defined.map(ToString::to_string));
        }
        visit::visit_file(self, file);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        // `internals` lists re-exports by module, with absolute paths.
        if self.path == ["internals"] {
            visit::visit_item_mod(self, item);
        } else if !is_for_tests(&item.attrs) {
            assert!(item.content.is_none(), "{}: give `mod {}` a file of its own", self.file.display(), item.ident);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.import(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: ItemPath = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.named.extend(Some(segments).filter(|segments| segments.len() > 1));
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.read_tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }
}

/// Every module of the crate, by path.
pub struct ModuleGraph {
    modules: BTreeMap<ItemPath, SourceModule>,
}

impl ModuleGraph {
    /// Reads `src`, without `main.rs`.
    pub fn of_crate() -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let modules = rust_files(&source).into_iter().filter(|file| !file.ends_with("main.rs")).map(|file| {
            let inside = file.strip_prefix(&source).expect("the file was found in `src`").with_extension("");
            let path: Vec<_> = inside.iter().filter_map(|part| part.to_str()).filter(|part| *part != "lib").collect();
            SourceModule::parse(&path, &file, &fs::read_to_string(&file).expect("source is text"))
        });
        Self::new(modules)
    }

    pub fn new(modules: impl IntoIterator<Item = SourceModule>) -> Self {
        Self { modules: modules.into_iter().map(|module| (module.path.clone(), module)).collect() }
    }

    pub fn modules(&self) -> impl Iterator<Item = &SourceModule> {
        self.modules.values()
    }

    /// The modules that lie directly below the crate root.
    pub fn top_modules(&self) -> BTreeSet<String> {
        self.modules.keys().filter_map(|path| path.first().cloned()).collect()
    }

    /// `path`, as `module` writes it, from the crate root; `None` where it leads into another crate.
    pub fn absolute(&self, path: &[String], module: &SourceModule) -> Option<ItemPath> {
        let supers = path.iter().take_while(|segment| *segment == "super").count();
        let own = &module.path;
        match path.first()?.as_str() {
            "crate" | "loopscope" => Some(path[1..].to_vec()),
            "self" => Some(own.iter().chain(&path[1..]).cloned().collect()),
            "super" => Some(own[..own.len().checked_sub(supers)?].iter().chain(&path[supers..]).cloned().collect()),
            first => {
                let below: ItemPath = own.iter().chain(path).cloned().collect();
                if self.modules.contains_key(&below[..=own.len()]) {
                    return Some(below);
                }
                let imported = module.imports.get(first).filter(|imported| imported.first() != path.first())?;
                self.absolute(&imported.iter().chain(&path[1..]).cloned().collect::<ItemPath>(), module)
            }
        }
    }

    /// The module that defines the item at the absolute `path`, with every re-export followed. `None` for a path that
    /// names a module itself.
    fn definer(&self, path: &[String]) -> Option<&ItemPath> {
        let mut module = self.modules.get(&Vec::new())?;
        for (at, segment) in path.iter().enumerate() {
            if let Some(child) = self.modules.get(&path[..=at]) {
                module = child;
                continue;
            }
            let reexported = module.imports.get(segment).filter(|_| !module.definitions.contains(segment));
            let Some(target) = reexported.and_then(|target| self.absolute(target, module)) else {
                return Some(&module.path);
            };
            let target: ItemPath = target.iter().chain(&path[at + 1..]).cloned().collect();
            return if target == path { Some(&module.path) } else { self.definer(&target) };
        }
        None
    }

    /// The modules whose items `module` names.
    pub fn imports_of(&self, module: &SourceModule) -> BTreeSet<&ItemPath> {
        let absolute = module.named.iter().filter_map(|path| self.absolute(path, module));
        absolute.filter_map(|path| self.definer(&path)).filter(|definer| **definer != module.path).collect()
    }

    /// Import cycles other than between a module and its own children: each a list of modules that import each other.
    pub fn cycles(&self) -> Vec<Vec<String>> {
        let edges: BTreeMap<&ItemPath, BTreeSet<&ItemPath>> =
            self.modules.values().map(|module| (&module.path, self.imports_of(module))).collect();
        let mut cycles = Vec::new();
        forbidden_cycles(&edges, edges.keys().copied().collect(), &mut cycles);
        cycles
    }
}

type Edges<'a> = BTreeMap<&'a ItemPath, BTreeSet<&'a ItemPath>>;

/// Splits `among` into groups that reach each other. A group that is one module with modules below it is allowed, as far as
/// those below it have no cycle without it.
fn forbidden_cycles<'a>(edges: &Edges<'a>, among: BTreeSet<&'a ItemPath>, cycles: &mut Vec<Vec<String>>) {
    let reach: BTreeMap<_, _> = among.iter().map(|&from| (from, reachable(edges, from, &among))).collect();
    let mut left = among;
    while let Some(first) = left.pop_first() {
        let mut group: BTreeSet<_> = left.iter().copied().filter(|other| reach[first].contains(other)).collect();
        group.retain(|other| reach[other].contains(first));
        left.retain(|other| !group.contains(other));
        if group.is_empty() {
            continue;
        }
        // A parent sorts before everything below it.
        if group.iter().all(|other| other.starts_with(first)) {
            forbidden_cycles(edges, group, cycles);
        } else {
            group.insert(first);
            cycles.push(group.iter().map(|path| path.join("::")).collect());
        }
    }
}

/// What can be reached from `from` by imports, within `among`.
fn reachable<'a>(edges: &Edges<'a>, from: &'a ItemPath, among: &BTreeSet<&'a ItemPath>) -> BTreeSet<&'a ItemPath> {
    let mut found = BTreeSet::new();
    let mut next = vec![from];
    while let Some(module) = next.pop() {
        for target in edges.get(module).into_iter().flatten() {
            if among.contains(target) && found.insert(*target) {
                next.push(target);
            }
        }
    }
    found
}

/// The Rust files below `folder`, sorted.
pub fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder is part of the repository") {
        let path = entry.expect("the folder can be listed").path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}
