//! Records of a stream, each together with its arguments.

use loopscope_probe::record::{RECORD_BYTES, Record, RecordKind};

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
                parsed.push(TimedRecord::new(kind, record.ticks(), record.subject()));
                arguments = Some(0);
            }
            (None, _) => {
                skipped += 1;
                arguments = None;
            }
        }
    }
    (parsed, skipped)
}

#[cfg(test)]
mod tests {
    use super::*;

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
