//! The places that the loop's own thread has awaited at, found again without reading what they are called.
//!
//! A place is known by where its texts are in memory. Whoever awaits at a place again and again shares its texts, so this
//! takes neither a lock nor a look at a text; whoever makes them anew each time is found by what they say, elsewhere.

use rustc_hash::FxHashMap;

use crate::trace::{AwaitKind, Site, SiteId};

/// Places known at once; past it all of them are forgotten, and asked for once more.
const PLACES_MAX: usize = 1 << 12;

/// See the module.
#[derive(Debug, Default)]
pub struct Places(Box<FxHashMap<Address, Known>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Address {
    kind: AwaitKind,
    source: usize,
    /// The file and the line in it; 0 for none.
    file: usize,
    line: u32,
}

#[derive(Debug)]
struct Known {
    id: SiteId,
    /// While it is kept no other text can come to be where its texts are.
    _site: Site,
}

impl Address {
    fn of(site: &Site) -> Self {
        let location = site.location.as_ref();
        let (file, line) = location.map_or((0, 0), |location| (location.file.as_ptr().addr(), location.line));
        Self { kind: site.kind, source: site.source.as_ptr().addr(), file, line }
    }
}

impl Places {
    #[inline]
    pub fn find(&self, site: &Site) -> Option<SiteId> {
        self.0.get(&Address::of(site)).map(|known| known.id)
    }

    pub fn keep(&mut self, site: &Site, id: SiteId) {
        if self.0.len() >= PLACES_MAX {
            self.0.clear();
        }
        self.0.insert(Address::of(site), Known { id, _site: site.clone() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Location;

    #[test]
    fn a_place_is_found_by_its_own_texts_and_forgotten_when_there_are_too_many() {
        let mut places = Places::default();
        let at = |line| Some(Location { file: "a.lua".into(), line });
        let site = Site { kind: AwaitKind::Timer, source: "sleep".into(), location: at(3) };
        places.keep(&site, SiteId::from_index(7));
        assert_eq!(places.find(&site.clone()), Some(SiteId::from_index(7)));
        assert_eq!(places.find(&Site { kind: AwaitKind::Io, ..site.clone() }), None);
        assert_eq!(places.find(&Site { location: None, ..site.clone() }), None);
        assert_eq!(places.find(&Site { source: "sleep".into(), ..site.clone() }), None, "a text that says the same");
        for index in 0..PLACES_MAX {
            places.keep(&Site { source: "sleep".into(), ..site.clone() }, SiteId::from_index(7));
            assert!(places.0.len() <= PLACES_MAX, "{index}");
        }
        assert_eq!(places.find(&site), None);
    }
}
