//! The awaits of one task that are open now: mostly one or two, sometimes a hundred thousand that end in any order.

use std::collections::BTreeSet;

use super::super::id::AwaitId;

/// Number of ids up to which a sorted vector is used and scanned.
const SMALL_MAX: usize = 32;

/// The ids of the open awaits of one task, in order of creation. The last one is the innermost await.
#[derive(Clone, Debug)]
pub(in crate::trace) enum OpenAwaits {
    /// A sorted vector of at most [`SMALL_MAX`] ids.
    Small(Vec<AwaitId>),
    /// A tree of any number of ids.
    Large(BTreeSet<AwaitId>),
}

impl Default for OpenAwaits {
    fn default() -> Self {
        Self::Small(Vec::new())
    }
}

impl OpenAwaits {
    /// Creates the set from ids in order of creation.
    pub fn from_sorted(ids: &[AwaitId]) -> Self {
        if ids.len() > SMALL_MAX { Self::Large(ids.iter().copied().collect()) } else { Self::Small(ids.to_vec()) }
    }

    /// Adds the newest await.
    pub fn push(&mut self, id: AwaitId) {
        match self {
            Self::Small(ids) if ids.len() < SMALL_MAX => ids.push(id),
            Self::Small(ids) => {
                let mut ids: BTreeSet<AwaitId> = ids.drain(..).collect();
                ids.insert(id);
                *self = Self::Large(ids);
            }
            Self::Large(ids) => {
                ids.insert(id);
            }
        }
    }

    /// Adds an await in order of creation, unless it is there.
    pub fn insert(&mut self, id: AwaitId) {
        match self {
            Self::Small(ids) => match ids.binary_search(&id) {
                Ok(_) => {}
                Err(index) if ids.len() < SMALL_MAX => ids.insert(index, id),
                Err(_) => self.push(id),
            },
            Self::Large(ids) => {
                ids.insert(id);
            }
        }
    }

    /// Removes an await that has ended. Takes constant time for the innermost of a few.
    pub fn remove(&mut self, id: AwaitId) {
        match self {
            Self::Small(ids) => match ids.last() {
                Some(last) if *last == id => {
                    ids.pop();
                }
                _ => ids.retain(|open| *open != id),
            },
            Self::Large(ids) => {
                ids.remove(&id);
                if ids.is_empty() {
                    *self = Self::default();
                }
            }
        }
    }

    /// Returns the innermost await.
    pub fn last(&self) -> Option<AwaitId> {
        match self {
            Self::Small(ids) => ids.last().copied(),
            Self::Large(ids) => ids.last().copied(),
        }
    }

    /// Iterates over the ids in order of creation.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = AwaitId> + '_ {
        let (small, large) = match self {
            Self::Small(ids) => (ids.as_slice(), None),
            Self::Large(ids) => (&[][..], Some(ids)),
        };
        small.iter().chain(large.into_iter().flat_map(|ids| ids.iter())).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_stay_in_order_of_creation() {
        const COUNT: usize = 100_000;
        let id = AwaitId::from_index;
        let mut open = OpenAwaits::default();
        (0..COUNT).for_each(|index| open.push(id(index)));
        assert_eq!(open.iter().collect::<Vec<_>>(), (0..COUNT).map(id).collect::<Vec<_>>());
        // Ends the awaits in an order unlike that of their creation.
        let mut left: Vec<bool> = vec![true; COUNT];
        for step in 0..COUNT {
            let index = step * 7_919 % COUNT;
            open.remove(id(index));
            left[index] = false;
            if step % 9_973 == 0 {
                let last = left.iter().rposition(|left| *left).map(id);
                assert_eq!(open.last(), last, "after {step}");
                let open_ids: Vec<AwaitId> = (0..COUNT).filter(|index| left[*index]).map(id).collect();
                assert_eq!(open.iter().collect::<Vec<_>>(), open_ids);
            }
        }
        assert!(open.last().is_none() && matches!(&open, OpenAwaits::Small(ids) if ids.capacity() == 0));
        for index in 0..SMALL_MAX {
            open.push(id(index));
        }
        open.remove(id(3));
        open.push(id(SMALL_MAX));
        assert!(matches!(&open, OpenAwaits::Small(ids) if ids.len() == SMALL_MAX), "a few ids stay in a vector");
        assert_eq!(open.last(), Some(id(SMALL_MAX)));
    }
}
