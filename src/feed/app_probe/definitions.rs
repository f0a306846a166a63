//! The texts and descriptions behind the ids of a stream.

use std::sync::Arc;

use loopscope_probe::protocol::{Definition, Site, StackFrame as ProbeFrame};
use rustc_hash::FxHashMap;

use crate::feed::asyncio_names;
use crate::feed::console::{FILE_BYTES_MAX, NAME_BYTES_MAX, TextInterner};
use crate::sanitize::sanitize_cow;
use crate::trace::{Location, StackFrame, TaskKind, TaskMeta};

/// Sites that are kept; later ones are unknown.
const SITES_MAX: usize = 1 << 16;

/// Names of attributes that are kept.
const ATTRIBUTES_MAX: usize = 1 << 12;

/// Frames of one site, the innermost ones; the others are left out.
const FRAMES_PER_SITE_MAX: usize = 64;

/// Frames of all sites. Later sites have none.
const FRAMES_MAX: usize = 1 << 20;

/// Size of the exceptions of tasks that have not ended yet. Later ones are unknown.
const ERROR_BYTES_MAX: usize = 32 << 20;

/// Size of all exceptions after which tracebacks are left out, because ended tasks keep them.
const TRACEBACK_BYTES_MAX: usize = 32 << 20;

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
    /// The functions at the site, from the outermost one.
    pub frames: Option<Arc<[StackFrame]>>,
    /// The resource is an implementation detail of another one.
    pub is_internal: bool,
    size_bytes: u64,
    original_size_bytes: u64,
}

impl KnownSite {
    /// Returns its location, or that of its innermost function.
    pub fn own_location(&self) -> Option<&Location> {
        self.location.as_ref().or_else(|| self.frames.as_ref()?.last()?.location.as_ref())
    }
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
    /// Exceptions of tasks that have not ended yet, and their size in bytes.
    errors: FxHashMap<u64, Box<str>>,
    error_bytes: usize,
    /// Size of all exceptions so far.
    traceback_bytes: usize,
    /// Number of frames of all sites.
    frames: usize,
    /// Sites have the kinds of awaits and resources by our names.
    pub states_kinds: bool,
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
            Definition::TaskError { task, text } if self.error_bytes < ERROR_BYTES_MAX => {
                let error = asyncio_names::task_error(text, self.traceback_bytes < TRACEBACK_BYTES_MAX);
                self.error_bytes += error.len();
                self.traceback_bytes += error.len();
                if let Some(replaced) = self.errors.insert(*task, error.into()) {
                    self.error_bytes -= replaced.len();
                }
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

    /// Takes the exception with which a task ended.
    pub fn take_error(&mut self, task: u64) -> Option<Box<str>> {
        let error = self.errors.remove(&task)?;
        self.error_bytes -= error.len();
        Some(error)
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
            "callback" => TaskKind::Callback,
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
        let inner = site.frames.get(site.frames.len().saturating_sub(FRAMES_PER_SITE_MAX)..).unwrap_or_default();
        let frames: Option<Arc<[StackFrame]>> = (!inner.is_empty() && self.frames < FRAMES_MAX)
            .then(|| inner.iter().map(|frame| self.stack_frame(frame)).collect());
        self.frames += frames.as_ref().map_or(0, |frames| frames.len());
        KnownSite {
            kind: self.text(&site.kind, NAME_BYTES_MAX),
            name: self.text(&site.name, NAME_BYTES_MAX),
            location: self.location(&site.file, site.line),
            frames,
            is_internal: site.is_internal,
            size_bytes: site.size_bytes,
            original_size_bytes: site.original_size_bytes,
        }
    }

    fn stack_frame(&mut self, frame: &ProbeFrame) -> StackFrame {
        let function = self.text(&frame.function, NAME_BYTES_MAX);
        StackFrame { function, location: self.location(&frame.file, frame.line) }
    }

    /// Returns a location; `None` if it is unknown.
    pub fn location(&mut self, file: &str, line: u32) -> Option<Location> {
        let is_known = !file.is_empty() && line > 0;
        is_known.then(|| Location { file: self.text(file, FILE_BYTES_MAX), line })
    }
}
