//! Sites: where something is spawned, created or awaited, and what it is. Each gets an id and is defined once.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::live::IdHasher;
use crate::protocol::{Definition, Site};

/// Number of sites that get an id. Later ones are unknown (0).
const SITES_MAX: usize = 1 << 16;

/// Number of attribute names that get an id.
const ATTRIBUTES_MAX: usize = 1 << 10;

/// Number of sites that a thread finds without a lock.
const THREAD_SITES_MAX: usize = 1 << 10;

/// Number of attribute names that a thread finds without a lock.
const THREAD_ATTRIBUTES_MAX: usize = 32;

/// Longest text of a site in bytes.
const TEXT_BYTES_MAX: usize = 1 << 10;

/// A site as it is reported.
#[derive(Clone, Copy, Default)]
pub(crate) struct SiteKey<'a> {
    pub(crate) kind: &'a str,
    pub(crate) name: &'a str,
    pub(crate) file: &'a str,
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) size_bytes: u64,
    pub(crate) original_size_bytes: u64,
    pub(crate) is_internal: bool,
}

impl SiteKey<'_> {
    /// Returns a number that differs between most sites. The file is represented by its length and its last bytes.
    fn hash(&self) -> u64 {
        let position = u64::from(self.line) << 32 | u64::from(self.column);
        let lengths = (self.kind.len() as u64) << 32 | self.name.len() as u64;
        let file_end = self.file.as_bytes().last_chunk().map_or(0, |end| u64::from_le_bytes(*end));
        [self.file.len() as u64, file_end, position, self.size_bytes, lengths]
            .into_iter()
            .fold(0, |hash: u64, word| (hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95))
    }

    fn is(&self, site: &Site) -> bool {
        self.line == site.line
            && self.column == site.column
            && self.size_bytes == site.size_bytes
            && self.original_size_bytes == site.original_size_bytes
            && self.is_internal == site.is_internal
            && self.kind == site.kind
            && self.name == site.name
            && self.file == site.file
    }

    fn to_site(self, id: u64) -> Site {
        Site {
            id,
            kind: self.kind.to_owned(),
            name: self.name.to_owned(),
            file: self.file.to_owned(),
            line: self.line,
            column: self.column,
            size_bytes: self.size_bytes,
            original_size_bytes: self.original_size_bytes,
            is_internal: self.is_internal,
            frames: Vec::new(),
        }
    }
}

/// Sites of the process.
#[derive(Default)]
struct Sites {
    /// Site `n` is at index `n - 1`.
    sites: Vec<Arc<Site>>,
    ids: HashMap<Site, u64>,
    attributes: Vec<String>,
}

static SITES: OnceLock<Mutex<Sites>> = OnceLock::new();

/// Sites by the hashes of their keys.
type ThreadSites = HashMap<u64, Arc<Site>, BuildHasherDefault<IdHasher>>;

thread_local! {
    static THREAD_SITES: RefCell<ThreadSites> = RefCell::new(HashMap::default());
    static THREAD_ATTRIBUTES: RefCell<Vec<(Box<str>, u64)>> = const { RefCell::new(Vec::new()) };
}

fn lock() -> MutexGuard<'static, Sites> {
    SITES.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the id of a site; 0 if there are too many.
pub(crate) fn site_id(key: &SiteKey<'_>) -> u64 {
    let key = SiteKey { kind: cut(key.kind), name: cut(key.name), file: cut(key.file), ..*key };
    let hash = key.hash();
    let found = THREAD_SITES.try_with(|sites| {
        let mut sites = sites.borrow_mut();
        if let Some(site) = sites.get(&hash).filter(|site| key.is(site)) {
            return site.id;
        }
        let Some(site) = intern(key) else { return 0 };
        if sites.len() < THREAD_SITES_MAX || sites.contains_key(&hash) {
            sites.insert(hash, site.clone());
        }
        site.id
    });
    // The thread ends.
    found.unwrap_or_else(|_| intern(key).map_or(0, |site| site.id))
}

fn intern(key: SiteKey<'_>) -> Option<Arc<Site>> {
    let mut sites = lock();
    let anonymous = key.to_site(0);
    if let Some(&id) = sites.ids.get(&anonymous) {
        return sites.sites.get(usize::try_from(id).ok()? - 1).cloned();
    }
    if sites.sites.len() >= SITES_MAX {
        return None;
    }
    let id = sites.sites.len() as u64 + 1;
    let site = Arc::new(key.to_site(id));
    sites.ids.insert(anonymous, id);
    sites.sites.push(site.clone());
    Some(site)
}

/// Returns the id of the name of an attribute; 0 if there are too many.
pub(crate) fn attribute_id(name: &str) -> u64 {
    let name = cut(name);
    let found = THREAD_ATTRIBUTES.try_with(|names| {
        let mut names = names.borrow_mut();
        if let Some((_, id)) = names.iter().find(|(known, _)| **known == *name) {
            return *id;
        }
        let id = intern_attribute(name);
        if names.len() < THREAD_ATTRIBUTES_MAX {
            names.push((Box::from(name), id));
        }
        id
    });
    found.unwrap_or_else(|_| intern_attribute(name))
}

fn intern_attribute(name: &str) -> u64 {
    let mut sites = lock();
    if let Some(index) = sites.attributes.iter().position(|known| known == name) {
        return index as u64 + 1;
    }
    if sites.attributes.len() >= ATTRIBUTES_MAX {
        return 0;
    }
    sites.attributes.push(name.to_owned());
    sites.attributes.len() as u64
}

/// Returns the file name and line of a site, as `main.rs:47`; empty if it is unknown.
pub(crate) fn short_location(id: u64) -> String {
    let index = usize::try_from(id).ok().and_then(|id| id.checked_sub(1));
    let site = index.and_then(|index| lock().sites.get(index).cloned());
    site.map_or_else(String::new, |site| {
        let file = site.file.rsplit('/').next().unwrap_or_default();
        format!("{file}:{}", site.line)
    })
}

/// How many sites and attribute names a peer knows.
#[derive(Clone, Copy, Default)]
pub(crate) struct KnownSites {
    sites: usize,
    attributes: usize,
}

impl KnownSites {
    /// Returns the definitions that were added since the last call.
    pub(crate) fn update(&mut self) -> Vec<Definition> {
        let sites = lock();
        let new_sites = sites.sites.iter().skip(self.sites).map(|site| Definition::Site((**site).clone()));
        let new_names = (self.attributes..).zip(sites.attributes.iter().skip(self.attributes));
        let new_names =
            new_names.map(|(index, name)| Definition::AttributeName { id: index as u64 + 1, name: name.clone() });
        let definitions = new_sites.chain(new_names).collect();
        *self = Self { sites: sites.sites.len(), attributes: sites.attributes.len() };
        definitions
    }
}

/// Returns the start of a text, at most [`TEXT_BYTES_MAX`] long.
pub(crate) fn cut(text: &str) -> &str {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_sites_have_one_id() {
        let key = SiteKey { kind: "task", file: "src/sites_test.rs", line: 7, ..SiteKey::default() };
        let file = key.file.to_owned();
        let id = site_id(&key);
        assert!(id > 0);
        assert_eq!(site_id(&SiteKey { file: &file, ..key }), id, "another address");
        assert_ne!(site_id(&SiteKey { line: 8, ..key }), id);
        assert_eq!(std::thread::spawn(move || site_id(&SiteKey { file: &file, ..key })).join().ok(), Some(id));
        let mut known = KnownSites::default();
        assert!(known.update().len() >= 2);
    }

    #[test]
    fn long_texts_are_cut_at_a_character() {
        let text = "ä".repeat(TEXT_BYTES_MAX);
        assert_eq!(cut(&text).len(), TEXT_BYTES_MAX);
        assert_eq!(cut(&text[..3.min(text.len() - 1) - 1]).len(), 2);
    }
}
