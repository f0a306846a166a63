//! The bounded run of the fuzz targets: each of their seeds, and a fixed number of changes of each, always the same. What
//! `cargo fuzz` finds beyond that becomes a seed.

use std::path::Path;

use crate::fuzzed;

/// Changed versions of each seed.
const CHANGED: u64 = 150;

/// Numbers that look random and are the same each time.
struct Numbers(u64);

impl Numbers {
    /// One below `below`, which is more than 0.
    fn below(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % below as u64) as usize
    }

    /// A piece of `bytes`, mostly a short one.
    fn piece<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let begin = self.below(bytes.len() + 1);
        let most = if self.below(8) == 0 { 4_096 } else { 24 };
        &bytes[begin..bytes.len().min(begin + self.below(most))]
    }
}

/// Values at which somebody may have thought wrongly.
const EDGES: [&[u8]; 6] =
    [&[0], &[0xff; 8], &[0x80, 0x80, 0x80, 0x80, 0x10], &[0x7f], &[0; 8], b"18446744073709551615"];

/// `seed` with some changes; pieces come from it or from `other`.
fn changed(seed: &[u8], other: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=numbers.below(6) {
        let at = numbers.below(bytes.len() + 1);
        match numbers.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << numbers.below(8),
            1 if at < bytes.len() => bytes[at] = numbers.below(256) as u8,
            2 => {
                let edge = EDGES[numbers.below(EDGES.len())];
                let until = bytes.len().min(at + edge.len());
                bytes.splice(at..until, edge.iter().copied());
            }
            3 => {
                let until = at + numbers.piece(&bytes[at..]).len();
                bytes.drain(at..until);
            }
            4 => {
                let piece = numbers.piece(seed).to_vec();
                bytes.splice(at..at, piece);
            }
            _ => {
                let piece = numbers.piece(other).to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    if numbers.below(10) == 0 {
        bytes.truncate(numbers.below(bytes.len() + 1));
    }
    bytes
}

/// Says what it was where a target panics over it.
struct Told(String);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("it was {}", self.0);
        }
    }
}

/// Puts each seed of this kind to the target, and changes of it.
#[track_caller]
fn run(kind: &str, target: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(kind);
    let mut paths: Vec<_> = std::fs::read_dir(folder).expect("it is part of the repository").flatten().collect();
    paths.sort_by_key(std::fs::DirEntry::path);
    let seeds: Vec<_> = paths.iter().map(|path| std::fs::read(path.path()).expect("it is a file")).collect();
    assert!(!seeds.is_empty());
    for (index, seed) in seeds.iter().enumerate() {
        let name = paths[index].file_name();
        let told = Told(format!("{kind}/{}", name.display()));
        target(seed);
        drop(told);
        let other = &seeds[(index + 1) % seeds.len()];
        for number in 0..CHANGED {
            let _told = Told(format!("change {number} of {kind}/{}", name.display()));
            target(&changed(seed, other, &mut Numbers(number << 32)));
        }
    }
}

#[test]
fn archives_do_no_harm() {
    run("archive", fuzzed::archive);
}

#[test]
fn recordings_do_no_harm() {
    run("recording", fuzzed::recording);
}

#[test]
fn messages_do_no_harm() {
    run("wire", fuzzed::wire);
}

/// A run of changes that were all refused at once would prove nothing.
#[test]
fn what_is_changed_is_mostly_taken_in_all_the_same() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/archive/whole");
    let seed = std::fs::read(path).expect("it is part of the repository");
    let polls = (0..CHANGED).map(|number| {
        let mut bytes = changed(&seed, &seed, &mut Numbers(number << 32));
        fuzzed::mend(&mut bytes);
        loopscope::feed::archive::read(&bytes[..], usize::MAX).map_or(0, |opened| opened.trace.counts().polls)
    });
    let taken = polls.filter(|polls| *polls > 0).count();
    assert!(taken as u64 > CHANGED / 3, "{taken} of {CHANGED}");
}
