//! Decodes the histograms of one task. They are HdrHistogram V2 bytes inside the wire format, validated first.

use console_api::tasks::task_details::PollTimesHistogram;
use console_api::tasks::{DurationHistogram as WireHistogram, TaskDetails};
use hdrhistogram::serialization::Deserializer;

use crate::trace::{DurationHistogram, TaskHistograms};

/// Length of the header: cookie, payload length, offset, digits, lowest, highest, ratio.
const HEADER_BYTES: usize = 40;

/// First word of an uncompressed V2 histogram, the only form that console-subscriber sends.
const COOKIE: u32 = 0x1c84_9303 | 0x10;

/// Longest histogram accepted: counts take at most 9 bytes each.
const BYTES_MAX: usize = 1 << 20;

/// Most significant digits accepted; console-subscriber uses 2. With 3, counts for any duration take half a megabyte.
const DIGITS_MAX: u32 = 3;

/// Most buckets kept; the durations of further ones are counted as outliers.
const BUCKETS_MAX: usize = 4_096;

/// Decodes both histograms of a task; `None` if there are none or they are malformed.
pub fn decode_histograms(details: &TaskDetails) -> Option<TaskHistograms> {
    let polls = match details.poll_times_histogram.as_ref()? {
        PollTimesHistogram::Histogram(histogram) => decode_histogram(histogram)?,
        PollTimesHistogram::LegacyHistogram(bytes) => decode_v2(bytes)?,
    };
    let scheduled = details.scheduled_times_histogram.as_ref().and_then(decode_histogram).unwrap_or_default();
    Some(TaskHistograms { polls, scheduled })
}

fn decode_histogram(wire: &WireHistogram) -> Option<DurationHistogram> {
    let mut histogram = decode_v2(&wire.raw_histogram)?;
    histogram.outliers = histogram.outliers.saturating_add(wire.high_outliers);
    histogram.longest_outlier_ns = wire.highest_outlier.or(histogram.longest_outlier_ns);
    Some(histogram)
}

fn decode_v2(bytes: &[u8]) -> Option<DurationHistogram> {
    let word = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let long = |at: usize| Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let (cookie, length, digits) = (word(0)?, word(4)?, word(12)?);
    let (lowest, highest) = (long(16)?, long(24)?);
    // The deserializer allocates what the header promises.
    let is_sound = cookie == COOKIE
        && bytes.len() <= BYTES_MAX
        && usize::try_from(length).is_ok_and(|length| length == bytes.len().saturating_sub(HEADER_BYTES))
        && digits <= DIGITS_MAX
        && lowest >= 1
        && highest >= lowest.saturating_mul(2);
    if !is_sound {
        return None;
    }
    let decoded: hdrhistogram::Histogram<u64> = Deserializer::new().deserialize(&mut &*bytes).ok()?;
    let mut histogram = DurationHistogram::default();
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

    fn encode(durations: &[u64]) -> Vec<u8> {
        let mut histogram = hdrhistogram::Histogram::<u64>::new_with_max(1_000_000_000, 2).expect("sound bounds");
        durations.iter().for_each(|ns| histogram.record(*ns).expect("within bounds"));
        let mut bytes = Vec::new();
        V2Serializer::new().serialize(&histogram, &mut bytes).expect("memory takes everything");
        bytes
    }

    #[test]
    fn decodes_what_console_subscriber_writes() {
        let raw_histogram = encode(&[100, 100, 5_000]);
        let polls = WireHistogram { raw_histogram, max_value: 0, high_outliers: 2, highest_outlier: Some(9) };
        let poll_times_histogram = Some(PollTimesHistogram::Histogram(polls));
        let details = TaskDetails { poll_times_histogram, ..TaskDetails::default() };
        let read = decode_histograms(&details).expect("it is sound");
        assert_eq!(read.polls.buckets, [(100, 2), (5_023, 1)]);
        assert_eq!((read.polls.outliers, read.polls.longest_outlier_ns), (2, Some(9)));
        assert_eq!(read.scheduled, DurationHistogram::default());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode_v2(&bytes);
        }

        #[test]
        fn nor_do_bytes_that_are_nearly_right(changes in proptest::collection::vec((0_usize..60, any::<u8>()), 1..4),
                                             payload in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut bytes = encode(&[100, 5_000]);
            bytes.extend(payload);
            for (index, byte) in changes {
                if let Some(changed) = bytes.get_mut(index) {
                    *changed = byte;
                }
            }
            let _ = decode_v2(&bytes);
            let length = u32::try_from(bytes.len() - HEADER_BYTES).expect("short");
            bytes[4..8].copy_from_slice(&length.to_be_bytes());
            let _ = decode_v2(&bytes);
        }
    }
}
