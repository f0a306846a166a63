//! The texts and descriptions behind the ids of a stream.

use std::sync::Arc;

use loopscope_probe::protocol::{Definition, Site};
use rustc_hash::FxHashMap;

use crate::feed::console::{FILE_BYTES_MAX, NAME_BYTES_MAX, TextInterner};
use crate::sanitize::sanitize_cow;
use crate::trace::{Location, TaskKind, TaskMeta};

/// Sites that are kept; later ones are unknown.
const SITES_MAX: usize = 1 << 16;

/// Names of attributes that are kept.
const ATTRIBUTES_MAX: usize = 1 << 12;

/// Names of tasks that were not spawned yet.
const TASK_NAMES_MAX: usize = 1 << 20;

/// A site, with bounded texts without control characters.
#[derive(Clone, Debug, Default)]
pub struct KnownSite {
    /// What it makes.
    pub kind: Arc<str>,
    /// Type of the resource, source of the operation, or function of the task.
    pub name: Arc<str>,
    /// Its location, if known.
    pub location: Option<Location>,
    /// The resource is an implementation detail of another one.
    pub is_internal: bool,
    size_bytes: u64,
    original_size_bytes: u64,
}

/// How a record changes an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttributeChange {
    /// The value is new.
    Set,
    /// The value is added.
    Add,
    /// The value is subtracted.
    Subtract,
}

impl AttributeChange {
    /// Returns the new value.
    pub fn apply(self, before: u64, value: u64) -> u64 {
        match self {
            Self::Set => value,
            Self::Add => before.saturating_add(value),
            Self::Subtract => before.saturating_sub(value),
        }
    }

    /// Splits the name of an attribute from the sign that says how a record with this name changes it.
    fn split_name(name: &str) -> (&str, Self) {
        match (name.strip_suffix(" +"), name.strip_suffix(" -")) {
            (Some(name), _) => (name, Self::Add),
            (None, Some(name)) => (name, Self::Subtract),
            (None, None) => (name, Self::Set),
        }
    }
}

/// The definitions of one stream.
#[derive(Debug, Default)]
pub struct Definitions {
    sites: FxHashMap<u64, KnownSite>,
    attributes: FxHashMap<u64, (Arc<str>, AttributeChange)>,
    task_names: FxHashMap<u64, Arc<str>>,
    interner: TextInterner,
    unnamed: Arc<str>,
}

impl Definitions {
    /// Adds a definition, except for those of threads.
    pub fn add(&mut self, definition: &Definition) {
        match definition {
            Definition::Site(site) if self.sites.len() < SITES_MAX => {
                let known = self.known_site(site);
                self.sites.insert(site.id, known);
            }
            Definition::TaskName { task, name } if self.task_names.len() < TASK_NAMES_MAX => {
                let name = self.text(name, NAME_BYTES_MAX);
                self.task_names.insert(*task, name);
            }
            Definition::AttributeName { id, name } if self.attributes.len() < ATTRIBUTES_MAX => {
                let (name, change) = AttributeChange::split_name(name);
                let name = self.text(name, NAME_BYTES_MAX);
                self.attributes.insert(*id, (name, change));
            }
            _ => {}
        }
    }

    /// Returns a site; an empty one if it is unknown.
    pub fn site(&self, id: u64) -> Option<&KnownSite> {
        self.sites.get(&id)
    }

    /// Returns the name of an attribute, and how a record that names it changes it.
    pub fn attribute(&self, id: u64) -> Option<&(Arc<str>, AttributeChange)> {
        self.attributes.get(&id)
    }

    /// Interns a text of the program, without control characters.
    pub fn text(&mut self, text: &str, bytes_max: usize) -> Arc<str> {
        self.interner.intern(&sanitize_cow(text), bytes_max)
    }

    /// Returns the metadata of a task that is spawned at this site, without its parent. Its name is forgotten.
    pub fn task_meta(&mut self, task: u64, site: u64) -> TaskMeta {
        let name = self.task_names.remove(&task).unwrap_or_else(|| Arc::clone(&self.unnamed));
        let Some(site) = self.sites.get(&site) else { return TaskMeta { name, ..TaskMeta::default() } };
        let kind = match &*site.kind {
            "worker" => TaskKind::Worker,
            kind => TaskKind::from_fields(kind, &site.name),
        };
        let size = |bytes: u64| (bytes > 0).then_some(bytes);
        TaskMeta {
            name,
            kind,
            parent: None,
            location: site.location.clone(),
            size_bytes: size(site.size_bytes),
            original_size_bytes: size(site.original_size_bytes),
        }
    }

    fn known_site(&mut self, site: &Site) -> KnownSite {
        let file = (!site.file.is_empty() && site.line > 0).then(|| self.text(&site.file, FILE_BYTES_MAX));
        KnownSite {
            kind: self.text(&site.kind, NAME_BYTES_MAX),
            name: self.text(&site.name, NAME_BYTES_MAX),
            location: file.map(|file| Location { file, line: site.line }),
            is_internal: site.is_internal,
            size_bytes: site.size_bytes,
            original_size_bytes: site.original_size_bytes,
        }
    }
}
