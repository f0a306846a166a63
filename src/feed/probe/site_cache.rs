//! Cache of the await sites of the loop thread, looked up without hashing or comparing strings.
//!
//! A site is identified by the memory addresses of its strings. Awaits that share the strings of a site are found
//! without a lock. A site whose strings are allocated anew each time misses here and is found by content in
//! [`Probe::await_start`](super::Probe::await_start).

use rustc_hash::FxHashMap;

use crate::trace::{AwaitKind, AwaitSite, SiteId};

/// Cached sites; past this the cache is cleared and filled again.
const CACHED_SITES_MAX: usize = 1 << 12;

/// Await site ids by the addresses of the site's strings.
#[derive(Debug, Default)]
pub struct SiteCache(Box<FxHashMap<SiteKey, CachedSite>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct SiteKey {
    kind: AwaitKind,
    source: usize,
    /// Address of the file name, and line; 0 for none.
    file: usize,
    line: u32,
}

#[derive(Debug)]
struct CachedSite {
    id: SiteId,
    /// Keeps the strings alive, so that no other string can be allocated at their addresses.
    _site: AwaitSite,
}

impl SiteKey {
    fn of(site: &AwaitSite) -> Self {
        let location = site.location.as_ref();
        let (file, line) = location.map_or((0, 0), |location| (location.file.as_ptr().addr(), location.line));
        Self { kind: site.kind, source: site.source.as_ptr().addr(), file, line }
    }
}

impl SiteCache {
    /// Returns the id of a cached site.
    #[inline]
    pub fn get(&self, site: &AwaitSite) -> Option<SiteId> {
        self.0.get(&SiteKey::of(site)).map(|cached| cached.id)
    }

    /// Adds a site. Clears the cache first if it is full.
    pub fn insert(&mut self, site: &AwaitSite, id: SiteId) {
        if self.0.len() >= CACHED_SITES_MAX {
            self.0.clear();
        }
        self.0.insert(SiteKey::of(site), CachedSite { id, _site: site.clone() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Location;

    #[test]
    fn finds_sites_by_string_address() {
        let mut cache = SiteCache::default();
        let at = |line| Some(Location { file: "a.lua".into(), line });
        let site = AwaitSite { kind: AwaitKind::Timer, source: "sleep".into(), location: at(3), chain: None };
        cache.insert(&site, SiteId::from_index(7));
        assert_eq!(cache.get(&site.clone()), Some(SiteId::from_index(7)));
        assert_eq!(cache.get(&AwaitSite { kind: AwaitKind::Io, ..site.clone() }), None);
        assert_eq!(cache.get(&AwaitSite { location: None, ..site.clone() }), None);
        assert_eq!(cache.get(&AwaitSite { source: "sleep".into(), ..site.clone() }), None, "equal text, other address");
        for index in 0..CACHED_SITES_MAX {
            cache.insert(&AwaitSite { source: "sleep".into(), ..site.clone() }, SiteId::from_index(7));
            assert!(cache.0.len() <= CACHED_SITES_MAX, "{index}");
        }
        assert_eq!(cache.get(&site), None);
    }
}
