//! Bounded run of the fuzz targets: each seed, and a fixed, reproducible set of mutations of it. Findings of `cargo
//! fuzz` become new seeds.

use std::path::Path;

use crate::fuzz_targets;

/// Mutations of each seed.
const MUTATIONS: u64 = 150;

/// Reproducible pseudo-random random.
struct SeededRandom(u64);

impl SeededRandom {
    /// Returns a number below `below`, which must not be 0.
    fn below(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % below as u64) as usize
    }

    /// Returns a random slice of `bytes`, usually a short one.
    fn slice<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let begin = self.below(bytes.len() + 1);
        let most = if self.below(8) == 0 { 4_096 } else { 24 };
        &bytes[begin..bytes.len().min(begin + self.below(most))]
    }
}

/// Values that often reveal boundary errors.
const EDGES: [&[u8]; 6] =
    [&[0], &[0xff; 8], &[0x80, 0x80, 0x80, 0x80, 0x10], &[0x7f], &[0; 8], b"18446744073709551615"];

/// Mutates `seed`, with slices of it and of `other`.
fn mutate(seed: &[u8], other: &[u8], random: &mut SeededRandom) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(6) {
        let at = random.below(bytes.len() + 1);
        match random.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 if at < bytes.len() => bytes[at] = random.below(256) as u8,
            2 => {
                let edge = EDGES[random.below(EDGES.len())];
                let until = bytes.len().min(at + edge.len());
                bytes.splice(at..until, edge.iter().copied());
            }
            3 => {
                let until = at + random.slice(&bytes[at..]).len();
                bytes.drain(at..until);
            }
            4 => {
                let slice = random.slice(seed).to_vec();
                bytes.splice(at..at, slice);
            }
            _ => {
                let slice = random.slice(other).to_vec();
                bytes.splice(at..at, slice);
            }
        }
    }
    if random.below(10) == 0 {
        bytes.truncate(random.below(bytes.len() + 1));
    }
    bytes
}

/// Prints the input of a target that panics.
struct PrintOnPanic(String);

impl Drop for PrintOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("input: {}", self.0);
        }
    }
}

/// Runs a target on each seed of this kind, and on mutations of it.
#[track_caller]
fn run_target(kind: &str, target: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/seeds").join(kind);
    let mut paths: Vec<_> = std::fs::read_dir(folder).expect("seeds are in the repository").flatten().collect();
    paths.sort_by_key(std::fs::DirEntry::path);
    let seeds: Vec<_> = paths.iter().map(|path| std::fs::read(path.path()).expect("a seed is a file")).collect();
    assert!(!seeds.is_empty());
    for (index, seed) in seeds.iter().enumerate() {
        let name = paths[index].file_name();
        let guard = PrintOnPanic(format!("{kind}/{}", name.display()));
        target(seed);
        drop(guard);
        let other = &seeds[(index + 1) % seeds.len()];
        for number in 0..MUTATIONS {
            let _guard = PrintOnPanic(format!("mutation {number} of {kind}/{}", name.display()));
            target(&mutate(seed, other, &mut SeededRandom(number << 32)));
        }
    }
}

#[test]
fn archives_survive_mutation() {
    run_target("archive", fuzz_targets::archive);
}

#[test]
fn streams_of_the_probe_survive_mutation() {
    run_target("app_probe", fuzz_targets::app_probe);
}

#[test]
fn recordings_survive_mutation() {
    run_target("recording", fuzz_targets::recording);
}

#[test]
fn messages_survive_mutation() {
    run_target("wire", fuzz_targets::wire);
}

/// The mutations must not all be rejected early, or the run would prove nothing.
#[test]
fn most_mutations_are_still_decoded() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/seeds/archive/complete");
    let seed = std::fs::read(path).expect("seeds are in the repository");
    let polls = (0..MUTATIONS).map(|number| {
        let mut bytes = mutate(&seed, &seed, &mut SeededRandom(number << 32));
        fuzz_targets::repair_checksums(&mut bytes);
        loopscope::feed::archive::read_archive(&bytes[..], usize::MAX).map_or(0, |opened| opened.trace.counts().polls)
    });
    let taken = polls.filter(|polls| *polls > 0).count();
    assert!(taken as u64 > MUTATIONS / 3, "{taken} of {MUTATIONS}");
}
