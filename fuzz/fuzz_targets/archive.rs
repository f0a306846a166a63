//! Archives: whatever a file holds, it opens as far as it goes, or says why not.
#![no_main]

use libfuzzer_sys::fuzz_target;
use loopscope::feed::archive::read;

/// Bytes before the first chunk, and before each chunk's payload.
const MAGIC_BYTES: usize = 12;
const CHUNK_HEAD_BYTES: usize = 9;

/// Makes every checksum fit, or the fuzzer would never get past the first.
fn mend(bytes: &mut [u8]) {
    let mut at = MAGIC_BYTES;
    while let Some(head) = bytes.get(at..at + CHUNK_HEAD_BYTES) {
        let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let Some(payload) = bytes.get(at + CHUNK_HEAD_BYTES..at + CHUNK_HEAD_BYTES + length) else { return };
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&head[..1]);
        hasher.update(payload);
        let sum = hasher.finalize().to_le_bytes();
        bytes[at + 5..at + CHUNK_HEAD_BYTES].copy_from_slice(&sum);
        at += CHUNK_HEAD_BYTES + length;
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes.to_vec();
    mend(&mut bytes);
    for budget_bytes in [usize::MAX, 100_000] {
        if let Ok(opened) = read(&bytes[..], budget_bytes) {
            loopscope_fuzz::ask(&opened.trace);
        }
    }
});
