//! Histograms of one task: bytes in a format of their own inside the wire's, checked before anything is made of them.

use console_api::tasks::task_details::PollTimesHistogram;
use console_api::tasks::{DurationHistogram, TaskDetails};
use hdrhistogram::serialization::Deserializer;

use crate::trace::{Histogram, Histograms};

/// Bytes of the head: cookie, length, offset, digits, lowest, highest, ratio.
const HEAD_BYTES: usize = 40;

/// What begins a histogram that is not compressed, in version 2 of the format. Nobody sends any other.
const COOKIE: u32 = 0x1c84_9303 | 0x10;

/// Bytes of one histogram: counts of at most 9 bytes each.
const BYTES_MAX: usize = 1 << 20;

/// Digits that are told apart: console-subscriber's have 2. With 3 the counts of all of time take half a megabyte.
const DIGITS_MAX: u32 = 3;

/// Buckets that are kept; longer durations than fit are counted as outliers.
const BUCKETS_MAX: usize = 4_096;

/// Both histograms of a task, as far as they can be read.
pub fn histograms(details: &TaskDetails) -> Option<Histograms> {
    let polls = match details.poll_times_histogram.as_ref()? {
        PollTimesHistogram::Histogram(told) => histogram(told)?,
        PollTimesHistogram::LegacyHistogram(bytes) => read(bytes)?,
    };
    let scheduled = details.scheduled_times_histogram.as_ref().and_then(histogram).unwrap_or_default();
    Some(Histograms { polls, scheduled })
}

fn histogram(told: &DurationHistogram) -> Option<Histogram> {
    let mut histogram = read(&told.raw_histogram)?;
    histogram.outliers = histogram.outliers.saturating_add(told.high_outliers);
    histogram.longest_outlier_ns = told.highest_outlier.or(histogram.longest_outlier_ns);
    Some(histogram)
}

fn read(bytes: &[u8]) -> Option<Histogram> {
    let word = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let long = |at: usize| Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let (cookie, length, digits) = (word(0)?, word(4)?, word(12)?);
    let (lowest, highest) = (long(16)?, long(24)?);
    // Whoever reads the rest makes room for what the head promises.
    let is_sound = cookie == COOKIE
        && bytes.len() <= BYTES_MAX
        && usize::try_from(length).is_ok_and(|length| length == bytes.len().saturating_sub(HEAD_BYTES))
        && digits <= DIGITS_MAX
        && lowest >= 1
        && highest >= lowest.saturating_mul(2);
    if !is_sound {
        return None;
    }
    let decoded: hdrhistogram::Histogram<u64> = Deserializer::new().deserialize(&mut &*bytes).ok()?;
    let mut histogram = Histogram::default();
    for bucket in decoded.iter_recorded() {
        let (ends, count) = (bucket.value_iterated_to(), bucket.count_at_value());
        if histogram.buckets.len() < BUCKETS_MAX {
            histogram.buckets.push((ends, count));
        } else {
            histogram.outliers = histogram.outliers.saturating_add(count);
            histogram.longest_outlier_ns = Some(ends);
        }
    }
    Some(histogram)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hdrhistogram::serialization::{Serializer, V2Serializer};
    use proptest::prelude::*;

    fn told(durations: &[u64]) -> Vec<u8> {
        let mut histogram = hdrhistogram::Histogram::<u64>::new_with_max(1_000_000_000, 2).expect("sound bounds");
        durations.iter().for_each(|ns| histogram.record(*ns).expect("within bounds"));
        let mut bytes = Vec::new();
        V2Serializer::new().serialize(&histogram, &mut bytes).expect("memory takes everything");
        bytes
    }

    #[test]
    fn what_console_subscriber_writes_is_read() {
        let raw_histogram = told(&[100, 100, 5_000]);
        let polls = DurationHistogram { raw_histogram, max_value: 0, high_outliers: 2, highest_outlier: Some(9) };
        let poll_times_histogram = Some(PollTimesHistogram::Histogram(polls));
        let details = TaskDetails { poll_times_histogram, ..TaskDetails::default() };
        let read = histograms(&details).expect("it is sound");
        assert_eq!(read.polls.buckets, [(100, 2), (5_023, 1)]);
        assert_eq!((read.polls.outliers, read.polls.longest_outlier_ns), (2, Some(9)));
        assert_eq!(read.scheduled, Histogram::default());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }

        #[test]
        fn nor_do_bytes_that_are_nearly_right(changes in proptest::collection::vec((0_usize..60, any::<u8>()), 1..4),
                                             payload in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut bytes = told(&[100, 5_000]);
            bytes.extend(payload);
            for (place, byte) in changes {
                if let Some(changed) = bytes.get_mut(place) {
                    *changed = byte;
                }
            }
            let _ = read(&bytes);
            let length = u32::try_from(bytes.len() - HEAD_BYTES).expect("short");
            bytes[4..8].copy_from_slice(&length.to_be_bytes());
            let _ = read(&bytes);
        }
    }
}
