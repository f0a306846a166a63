//! Every wake of a task as one row: the first of each poll, which its lane keeps, and further ones. The n-th of it is
//! found by a search over the lane's blocks, each step of which looks at one of the further wakes (`All::split`).

use super::super::event::{Cause, Nanos};
use super::super::lane::{Lane, looked};
use super::super::pack::first_not;
use super::{Wake, Wakes};

/// Every kept wake, in order: those of `lane`, each the first after its poll, and `more`.
pub(in crate::trace) fn all<'a>(lane: &'a Lane, more: Option<&'a Wakes>) -> All<'a> {
    let back = End {
        first: lane.wakes_of_pieces(lane.pieces()),
        more: more.map_or(0, Wakes::len),
        firsts: Near::default(),
        further: Near::default(),
    };
    All { lane, more, front: End::default(), back }
}

/// Two rows of wakes as one, in order of the polls that they came after; of one poll the first comes first.
pub(in crate::trace) struct All<'a> {
    lane: &'a Lane,
    more: Option<&'a Wakes>,
    front: End,
    back: End,
}

/// A place in both rows: how many of each are before it, and what was read around there.
#[derive(Default)]
struct End {
    first: usize,
    more: usize,
    firsts: Near,
    further: Near,
}

/// Some wakes of a row, one beside the other, and how many are before them.
#[derive(Default)]
struct Near {
    before: usize,
    wakes: Vec<Wake>,
}

impl Near {
    fn get(&mut self, index: usize, around: impl FnOnce() -> (usize, Vec<Wake>)) -> Option<Wake> {
        if !(self.before..self.before + self.wakes.len()).contains(&index) {
            (self.before, self.wakes) = around();
        }
        self.wakes.get(index.checked_sub(self.before)?).copied()
    }
}

impl Lane {
    /// The wakes of one piece, and how many are kept before them.
    fn wakes_in_piece(&self, piece: usize) -> (usize, Vec<Wake>) {
        let wakes =
            self.wakes_of_piece(piece).into_iter().map(|(poll, at, cause)| Wake { poll, at, cause: Some(cause) });
        (self.wakes_of_pieces(piece), wakes.collect())
    }

    /// The last piece that `is_in_time`, as all before it are; the first where none is.
    fn last_piece(&self, is_in_time: impl Fn(usize) -> bool) -> usize {
        let not_in_time = first_not(1..self.pieces(), |piece| {
            looked();
            is_in_time(piece)
        });
        not_in_time - 1
    }

    fn wakes_around(&self, index: usize) -> (usize, Vec<Wake>) {
        self.wakes_in_piece(self.last_piece(|piece| self.wakes_of_pieces(piece) <= index))
    }
}

impl All<'_> {
    fn left(&self) -> usize {
        (self.back.first - self.front.first) + (self.back.more - self.front.more)
    }

    /// How many of each row are among the first `count` of both.
    fn split(&self, count: usize) -> (usize, usize) {
        // So many firsts, of which none is of a later poll than `poll`, are among them if what then is left of the count
        // is too small for any further one of an earlier poll to be told only later.
        let are_in = |firsts: usize, poll: u64| {
            let further = count.checked_sub(firsts);
            further.is_some_and(|further| self.further(further).is_none_or(|first_out| first_out >= poll))
        };
        let are_before = |piece: usize| are_in(self.lane.wakes_of_pieces(piece), self.lane.polls_before_piece(piece));
        let (before, wakes) = self.lane.wakes_in_piece(self.lane.last_piece(are_before));
        let within = (before + 1..).zip(&wakes).take_while(|(firsts, wake)| are_in(*firsts, wake.poll)).count();
        let firsts = (before + within).min(count);
        (firsts, count - firsts)
    }

    /// After which poll the `index`-th of the further wakes came.
    fn further(&self, index: usize) -> Option<u64> {
        self.more?.poll(index)
    }

    /// The same place as both ends have it that are not beyond each other.
    fn place(&self, count: usize) -> (usize, usize) {
        let (first, more) = self.split(count);
        (first.clamp(self.front.first, self.back.first), more.clamp(self.front.more, self.back.more))
    }
}

fn told(wake: Option<Wake>) -> Option<(Nanos, Cause)> {
    wake.and_then(|wake| Some((wake.at, wake.cause?)))
}

impl Iterator for All<'_> {
    type Item = (Nanos, Cause);

    fn next(&mut self) -> Option<Self::Item> {
        let Self { lane, more, front, back } = self;
        let (first, further) = (front.first, front.more);
        let one = (first < back.first).then(|| front.firsts.get(first, || lane.wakes_around(first))).flatten();
        let more = more.filter(|_| further < back.more);
        let other = more.and_then(|more| front.further.get(further, || more.around(further)));
        match (one, other) {
            (Some(one), other) if other.is_none_or(|other| one.poll <= other.poll) => {
                front.first += 1;
                told(Some(one))
            }
            (_, other) => {
                front.more += usize::from(other.is_some());
                told(other)
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left(), Some(self.left()))
    }

    fn nth(&mut self, index: usize) -> Option<Self::Item> {
        if index >= self.left() {
            (self.front.first, self.front.more) = (self.back.first, self.back.more);
        } else if index > 0 {
            (self.front.first, self.front.more) = self.place(self.front.first + self.front.more + index);
        }
        self.next()
    }
}

impl DoubleEndedIterator for All<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let Self { lane, more, front, back } = self;
        let last = |count: usize, before: usize| count.checked_sub(1).filter(|last| *last >= before);
        let one = last(back.first, front.first);
        let one = one.and_then(|last| back.firsts.get(last, || lane.wakes_around(last)));
        let more = more.zip(last(back.more, front.more));
        let other = more.and_then(|(more, last)| back.further.get(last, || more.around(last)));
        match (one, other) {
            (Some(one), other) if other.is_none_or(|other| one.poll > other.poll) => {
                back.first -= 1;
                told(Some(one))
            }
            (_, other) => {
                back.more -= usize::from(other.is_some());
                told(other)
            }
        }
    }

    fn nth_back(&mut self, index: usize) -> Option<Self::Item> {
        if index >= self.left() {
            (self.back.first, self.back.more) = (self.front.first, self.front.more);
        } else if index > 0 {
            (self.back.first, self.back.more) = self.place(self.back.first + self.back.more - index);
        }
        self.next_back()
    }
}

impl ExactSizeIterator for All<'_> {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::lane::{Cycle, LOOKED};
    use super::super::Block;
    use super::*;

    /// A lane and what else it was woken, of so many polls, and every wake of it in order. How often it was woken after
    /// each poll, and how much later that was, comes from `by`.
    fn woken(polls: u64, mut by: impl FnMut(u64) -> (usize, u64)) -> (Lane, Wakes, Vec<(Nanos, Cause)>) {
        let (mut lane, mut more, mut told, mut now) = (Lane::new(0), Wakes::default(), vec![], 0);
        for poll in 0..polls {
            let (count, after) = by(poll);
            for index in 0..count {
                now += after;
                let cause = if index == 0 { Cause::Own } else { Cause::Driver };
                if !lane.woken(now, 0, Some(cause)) {
                    more.push(lane.number(), now, cause);
                }
                told.push((now, cause));
            }
            lane.poll_start(now, poll as u32, &mut Vec::new());
            lane.poll_end(now, None);
            now += after;
        }
        (lane, more, told)
    }

    /// Every kept wake, put in order one by one.
    fn slowly(lane: &Lane, more: &Wakes) -> Vec<(Nanos, Cause)> {
        let first = |(index, cycle): (usize, Cycle)| Some((index as u64 + 1, cycle.wake()?));
        let firsts = lane.cycles().enumerate().filter_map(first);
        let further = more.blocks.iter().flat_map(Block::wakes).chain(more.open.iter().copied());
        let further = further.filter_map(|wake| Some((wake.poll, (wake.at, wake.cause?))));
        let before = lane.polls_before_piece(0);
        let mut wakes: Vec<_> = firsts.map(|(poll, wake)| (before + poll, wake)).chain(further).collect();
        wakes.sort_by_key(|(poll, _)| *poll);
        wakes.into_iter().map(|(_, wake)| wake).collect()
    }

    fn agree(lane: &Lane, more: Option<&Wakes>, told: &[(Nanos, Cause)]) {
        let count = told.len();
        assert_eq!(all(lane, more).len(), count);
        assert_eq!(all(lane, more).collect::<Vec<_>>(), told);
        assert!(all(lane, more).rev().eq(told.iter().rev().copied()));
        for index in (0..count + 2).step_by(1 + count / 64) {
            assert_eq!(all(lane, more).nth(index), told.get(index).copied());
            assert_eq!(all(lane, more).skip(index).len(), count.saturating_sub(index));
            let back = count.checked_sub(index + 1).map(|index| told[index]);
            assert_eq!(all(lane, more).rev().nth(index), back);
        }
    }

    /// Both ends go towards each other by so many, in turns.
    fn meet(lane: &Lane, more: &Wakes, told: &[(Nanos, Cause)], steps: &[usize]) {
        let (mut both, mut simply) = (all(lane, Some(more)), told.iter().copied());
        for (index, step) in steps.iter().cycle().enumerate() {
            let pair = if index % 2 == 0 {
                (both.nth(*step), simply.nth(*step))
            } else {
                (both.nth_back(*step), simply.nth_back(*step))
            };
            assert_eq!(pair.0, pair.1);
            assert_eq!(both.len(), simply.len());
            if pair.1.is_none() {
                break;
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_look_up_is_what_a_walk_over_every_wake_says(
            polls in 0..400_u64,
            most in 0..60_u64,
            seed: u64,
            steps in prop::collection::vec(0..150_usize, 1..8),
            forgotten in (0..4_usize, 0..4_usize),
        ) {
            let mut state = seed;
            let mut random = move |below: u64| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) % below
            };
            // Long stretches of one wake or none a poll, and here and there many.
            let by = |poll: u64| match (poll / 50 % 3, random(9)) {
                (0, 0) | (1, _) => (random(most + 1) as usize, random(3)),
                (_, 1) => (0, random(2)),
                _ => (1, random(2)),
            };
            let (mut lane, mut more, told) = woken(polls, by);
            prop_assert_eq!(&slowly(&lane, &more), &told);
            for (at, _) in told.iter().step_by(1 + told.len() / 64) {
                for at in [at.saturating_sub(1), *at] {
                    let until = lane.wakes_until(at) + more.until(at);
                    prop_assert_eq!(until, told.iter().filter(|(woken, _)| *woken <= at).count());
                }
            }
            agree(&lane, Some(&more), &told);
            meet(&lane, &more, &told, &steps);
            // As much of one row may be forgotten as of the other, or more, or less.
            for _ in 0..forgotten.0 {
                lane.drop_oldest();
            }
            for _ in 0..forgotten.1 {
                more.drop_oldest();
            }
            let kept = slowly(&lane, &more);
            agree(&lane, Some(&more), &kept);
            meet(&lane, &more, &kept, &steps);
        }

        #[test]
        fn a_lane_that_was_woken_once_a_poll_at_most_is_no_other(polls in 0..200_u64, every in 1..9_u64) {
            let (lane, more, told) = woken(polls, |poll| (usize::from(poll > 0 && poll % every > 0), 1));
            prop_assert_eq!(more.len(), 0);
            agree(&lane, None, &told);
        }
    }

    #[test]
    fn what_a_look_up_looks_at_grows_with_the_logarithm_of_the_wakes() {
        // Further wakes everywhere, and at one place alone.
        for is_everywhere in [true, false] {
            let mut before = 0;
            for polls in [20_000, 160_000] {
                let by = |poll| if is_everywhere || poll == polls / 3 { (5, 1) } else { (1, 1) };
                let (lane, more, told) = woken(polls, by);
                let mut most = 0;
                for part in 0..200 {
                    let (index, from) = (told.len() / 200 * part, LOOKED.get());
                    assert_eq!(all(&lane, Some(&more)).nth(index), Some(told[index]));
                    assert_eq!(all(&lane, Some(&more)).nth_back(told.len() - 1 - index), Some(told[index]));
                    let until = lane.wakes_until(told[index].0) + more.until(told[index].0);
                    assert_eq!(until, told.partition_point(|(woken, _)| *woken <= told[index].0));
                    assert_eq!(all(&lane, Some(&more)).len(), told.len());
                    most = most.max(LOOKED.get() - from);
                }
                // Eight times as many are three doublings more, in each of a few searches.
                assert!(most < 600, "{most} for one of {polls} polls");
                assert!(before == 0 || most < before + 3 * 2 * 12, "{most} after {before}");
                before = most;
            }
        }
    }
}
