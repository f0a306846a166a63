//! The awaits of one task that are open now: mostly one or two, and now and then a hundred thousand that end in any order.

use std::collections::BTreeSet;

use super::super::id::AwaitId;

/// So many stand in a plain row, in which one that is not the last is looked for.
const FEW: usize = 32;

/// See the module. Their order is that of their creation: the last one is the innermost.
#[derive(Clone, Debug)]
pub(in crate::trace) enum OpenAwaits {
    Few(Vec<AwaitId>),
    Many(BTreeSet<AwaitId>),
}

impl Default for OpenAwaits {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl OpenAwaits {
    /// These, in order of creation.
    pub fn of(ids: &[AwaitId]) -> Self {
        if ids.len() > FEW { Self::Many(ids.iter().copied().collect()) } else { Self::Few(ids.to_vec()) }
    }

    pub fn push(&mut self, id: AwaitId) {
        match self {
            Self::Few(few) if few.len() < FEW => few.push(id),
            Self::Few(few) => {
                let mut many: BTreeSet<AwaitId> = few.drain(..).collect();
                many.insert(id);
                *self = Self::Many(many);
            }
            Self::Many(many) => {
                many.insert(id);
            }
        }
    }

    pub fn remove(&mut self, id: AwaitId) {
        match self {
            Self::Few(few) => match few.last() {
                Some(last) if *last == id => {
                    few.pop();
                }
                _ => few.retain(|open| *open != id),
            },
            Self::Many(many) => {
                many.remove(&id);
                if many.is_empty() {
                    *self = Self::default();
                }
            }
        }
    }

    pub fn last(&self) -> Option<AwaitId> {
        match self {
            Self::Few(few) => few.last().copied(),
            Self::Many(many) => many.last().copied(),
        }
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = AwaitId> + '_ {
        let (few, many) = match self {
            Self::Few(few) => (few.as_slice(), None),
            Self::Many(many) => (&[][..], Some(many)),
        };
        few.iter().chain(many.into_iter().flat_map(|many| many.iter())).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_stand_in_order_of_creation_however_many_and_in_whatever_order_they_end() {
        const COUNT: usize = 100_000;
        let id = AwaitId::from_index;
        let mut open = OpenAwaits::default();
        (0..COUNT).for_each(|index| open.push(id(index)));
        assert_eq!(open.iter().collect::<Vec<_>>(), (0..COUNT).map(id).collect::<Vec<_>>());
        // Any order but the one in which they were made: the walk through all of them that each end once took is gone.
        let mut left: Vec<bool> = vec![true; COUNT];
        for step in 0..COUNT {
            let index = step * 7_919 % COUNT;
            open.remove(id(index));
            left[index] = false;
            if step % 9_973 == 0 {
                let last = left.iter().rposition(|left| *left).map(id);
                assert_eq!(open.last(), last, "after {step}");
                let still: Vec<AwaitId> = (0..COUNT).filter(|index| left[*index]).map(id).collect();
                assert_eq!(open.iter().collect::<Vec<_>>(), still);
            }
        }
        assert!(open.last().is_none() && matches!(&open, OpenAwaits::Few(few) if few.capacity() == 0));
        for index in 0..FEW {
            open.push(id(index));
        }
        open.remove(id(3));
        open.push(id(FEW));
        assert!(matches!(&open, OpenAwaits::Few(few) if few.len() == FEW), "few stay in a row");
        assert_eq!(open.last(), Some(id(FEW)));
    }
}
