//! Records of a stream, each together with its arguments.

use loopscope_probe::record::{RECORD_BYTES, Record, RecordKind, TICKS_MAX};

/// Arguments of one record; further ones are ignored.
const ARGUMENTS_MAX: usize = 3;

/// A record and its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedRecord {
    /// What happened.
    pub kind: RecordKind,
    /// When, in ticks since the base of the stream.
    pub ticks: u64,
    /// The id of a task, resource or operation.
    pub subject: u64,
    /// Its arguments; 0 where there are fewer.
    pub arguments: [u64; ARGUMENTS_MAX],
}

impl TimedRecord {
    /// Creates a record without arguments.
    pub fn new(kind: RecordKind, ticks: u64, subject: u64) -> Self {
        Self { kind, ticks, subject, arguments: [0; ARGUMENTS_MAX] }
    }
}

/// Parses the records of one thread. Returns also how many records were skipped: those of unknown kinds, arguments
/// without a record, and an incomplete one at the end.
pub fn parse_records(bytes: &[u8]) -> (Vec<TimedRecord>, u64) {
    let (whole, rest) = bytes.as_chunks::<RECORD_BYTES>();
    let mut parsed: Vec<TimedRecord> = Vec::with_capacity(whole.len());
    let mut skipped = u64::from(!rest.is_empty());
    // Number of arguments of the last record; `None` if that was skipped.
    let mut arguments = None;
    for bytes in whole {
        let record = Record::from_bytes(*bytes);
        match (record.kind(), &mut arguments) {
            (Some(RecordKind::Argument), Some(count)) => {
                if let Some(slot) = parsed.last_mut().and_then(|last| last.arguments.get_mut(*count)) {
                    *slot = record.subject();
                    *count += 1;
                }
            }
            (Some(RecordKind::Argument), None) => skipped += 1,
            (Some(kind), _) => {
                expand_last(&mut parsed);
                parsed.push(TimedRecord::new(kind, record.ticks(), record.subject()));
                arguments = Some(0);
            }
            (None, _) => {
                skipped += 1;
                arguments = None;
            }
        }
    }
    expand_last(&mut parsed);
    (parsed, skipped)
}

/// Parses records in words, with times in nanoseconds of the monotonic clock, which was at `base_ns` at the base of the
/// stream. Returns also how many records were skipped: those of unknown kinds, and an incomplete one at the end.
pub fn parse_words(bytes: &[u8], base_ns: u64) -> (Vec<TimedRecord>, u64) {
    let (words, rest) = bytes.as_chunks::<8>();
    let ticks = |time_ns: u64| time_ns.saturating_sub(base_ns).min(TICKS_MAX);
    let mut parsed: Vec<TimedRecord> = Vec::with_capacity(words.len() / 3);
    let mut skipped = u64::from(!rest.is_empty());
    let mut left = words;
    while let Some(([head, time, subject], after)) = left.split_first_chunk::<3>() {
        let head = u64::from_le_bytes(*head);
        let count = usize::from((head >> 8) as u8);
        let Some((arguments, after)) = after.split_at_checked(count) else { break };
        left = after;
        let Some(kind) = RecordKind::from_number(head as u8).filter(|kind| *kind != RecordKind::Argument) else {
            skipped += 1;
            continue;
        };
        let mut record = TimedRecord::new(kind, ticks(u64::from_le_bytes(*time)), u64::from_le_bytes(*subject));
        for (slot, argument) in record.arguments.iter_mut().zip(arguments) {
            *slot = u64::from_le_bytes(*argument);
        }
        let times: &[usize] = match kind {
            RecordKind::Dropped => &[0],
            RecordKind::Sampled | RecordKind::Blocked => &[1],
            RecordKind::Polled => &[0, 1],
            _ => &[],
        };
        for index in times {
            record.arguments[*index] = ticks(record.arguments[*index]);
        }
        parsed.push(record);
        expand_last(&mut parsed);
    }
    skipped += u64::from(!left.is_empty());
    (parsed, skipped)
}

/// Replaces the last record, if it is a whole poll, by those that it stands for.
fn expand_last(parsed: &mut Vec<TimedRecord>) {
    let Some(whole) = parsed.pop_if(|record| record.kind == RecordKind::Polled) else { return };
    let [woken_at, ended_at, site] = whole.arguments;
    let record = |kind, ticks| TimedRecord::new(kind, ticks, whole.subject);
    parsed.push(record(RecordKind::PollStart, whole.ticks));
    if woken_at > 0 {
        parsed.push(record(RecordKind::Wake, woken_at));
    }
    parsed.push(TimedRecord { arguments: [site, 0, ended_at], ..record(RecordKind::Suspended, ended_at) });
    parsed.push(record(RecordKind::PollEnd, ended_at));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn words_have_times_of_the_monotonic_clock() {
        let spawn = RecordKind::Spawn as u64 | 1 << 8;
        let unknown = 200 | 2 << 8;
        let bytes = words(&[spawn, 1_009, 7, 2, unknown, 1_010, 7, 1, 2, spawn, 1_011, 8]);
        let (records, skipped) = parse_words(&bytes, 1_000);
        let expected = TimedRecord { arguments: [2, 0, 0], ..TimedRecord::new(RecordKind::Spawn, 9, 7) };
        assert_eq!((records.as_slice(), skipped), (&[expected][..], 2));
        assert_eq!(parse_words(&bytes[..5], 0), (vec![], 1));
    }

    #[test]
    fn whole_poll_is_several_records() {
        let polled = RecordKind::Polled as u64 | 3 << 8;
        let record = |kind, ticks| TimedRecord::new(kind, ticks, 7);
        let suspended = |at| TimedRecord { arguments: [5, 0, at], ..record(RecordKind::Suspended, at) };
        let (start, end) = (record(RecordKind::PollStart, 10), record(RecordKind::PollEnd, 30));
        let bytes = words(&[polled, 1_010, 7, 1_020, 1_030, 5, polled, 1_010, 7, 0, 1_030, 5]);
        let with_wake = [start, record(RecordKind::Wake, 20), suspended(30), end];
        let without_wake = [start, suspended(30), end];
        assert_eq!(parse_words(&bytes, 1_000), ([&with_wake[..], &without_wake[..]].concat(), 0));
        let head = Record::new(RecordKind::Polled, 10, 7);
        let bytes: Vec<u8> = [head, Record::argument(0), Record::argument(30), Record::argument(5)]
            .into_iter()
            .flat_map(Record::to_bytes)
            .collect();
        assert_eq!(parse_records(&bytes), (without_wake.to_vec(), 0));
    }

    #[test]
    fn arguments_join_their_record() {
        let mut bytes = Vec::new();
        let argument = |value| Record::argument(value).to_bytes();
        bytes.extend(argument(1));
        bytes.extend(Record::new(RecordKind::Spawn, 9, 7).to_bytes());
        (2..8).for_each(|value| bytes.extend(argument(value)));
        // An unknown kind with an argument.
        bytes.extend([200; RECORD_BYTES]);
        bytes.extend(argument(1));
        bytes.extend([0; 3]);
        let (records, skipped) = parse_records(&bytes);
        let spawn = TimedRecord { arguments: [2, 3, 4], ..TimedRecord::new(RecordKind::Spawn, 9, 7) };
        assert_eq!((records.as_slice(), skipped), (&[spawn][..], 4));
    }
}
