//! Snapshots: everything that lives, as definitions and records.

use std::collections::HashSet;

use crate::protocol::{Definition, FRAME_BYTES_MAX, FrameKind, split_frame, write_frame};
use crate::record::{RECORD_BYTES, Record, RecordKind};
use crate::{events, live, slots};

/// Records in one frame. A task or resource has at most three.
const FRAME_RECORDS_MAX: usize = (FRAME_BYTES_MAX - 16) / RECORD_BYTES;

/// Everything that lives.
#[derive(Default)]
pub(crate) struct LiveRecords {
    /// Records of each task and resource: what creates it, and its arguments.
    records: Vec<Vec<Record>>,
    /// Names of tasks.
    names: Vec<(u64, Box<str>)>,
}

impl LiveRecords {
    /// Looks at all tasks and resources.
    pub(crate) fn gather() -> Self {
        let (mut records, mut names) = (Vec::new(), Vec::new());
        live::for_each(|span, entry| {
            let task = events::number_of(span);
            records.push(vec![Record::new(RecordKind::Spawn, entry.ticks, task), Record::argument(entry.site)]);
            names.extend(entry.name.as_ref().map(|name| (task, name.clone())));
        });
        slots::for_each_resource(|entry| {
            let created = Record::new(RecordKind::ResourceCreated, entry.ticks, entry.id);
            records.push(vec![created, Record::argument(entry.site), Record::argument(entry.parent)]);
        });
        Self { records, names }
    }

    /// Appends the frames of a snapshot to `frames`. The sites are defined elsewhere.
    pub(crate) fn write(self, frames: &mut Vec<u8>) {
        for (task, name) in self.names {
            let definition = Definition::TaskName { task, name: name.into_string() };
            // A definition has no map with keys that are no texts, so this does not fail.
            let payload = serde_json::to_vec(&definition).unwrap_or_default();
            write_frame(FrameKind::Definition as u8, &payload, frames);
        }
        for units in self.records.chunks(FRAME_RECORDS_MAX / 3) {
            // Thread 0.
            let mut payload = vec![0; 4];
            payload.extend(units.iter().flatten().flat_map(|record| record.to_bytes()));
            write_frame(FrameKind::Records as u8, &payload, frames);
        }
        write_frame(FrameKind::SnapshotEnd as u8, &[], frames);
    }

    /// Adds what these frames create, and removes what they end.
    pub(crate) fn update(&mut self, mut frames: &[u8]) {
        let mut ended = HashSet::new();
        while let Ok(Some(((kind, payload), rest))) = split_frame(frames, FRAME_BYTES_MAX) {
            frames = rest;
            match FrameKind::from_number(kind) {
                // The id of the thread comes first.
                Some(FrameKind::Records) => self.update_records(payload.get(4..).unwrap_or_default(), &mut ended),
                Some(FrameKind::Definition) => {
                    if let Ok(Definition::TaskName { task, name }) = serde_json::from_slice(payload) {
                        self.names.push((task, name.into_boxed_str()));
                    }
                }
                _ => {}
            }
        }
        let has_ended = |unit: &Vec<Record>| {
            let created = unit.first().map(|record| (record.kind(), record.subject()));
            created.is_some_and(|created| ended.contains(&created))
        };
        self.records.retain(|unit| !has_ended(unit));
        self.names.retain(|&(task, _)| !ended.contains(&(Some(RecordKind::Spawn), task)));
    }

    fn update_records(&mut self, records: &[u8], ended: &mut HashSet<(Option<RecordKind>, u64)>) {
        let (records, _) = records.as_chunks::<RECORD_BYTES>();
        let mut records = records.iter().map(|&bytes| Record::from_bytes(bytes)).peekable();
        while let Some(record) = records.next() {
            match record.kind() {
                Some(RecordKind::Spawn | RecordKind::ResourceCreated) => {
                    let mut unit = vec![record];
                    while let Some(argument) = records.next_if(|next| next.kind() == Some(RecordKind::Argument)) {
                        unit.push(argument);
                    }
                    self.records.push(unit);
                }
                Some(RecordKind::TaskClosed) => drop(ended.insert((Some(RecordKind::Spawn), record.subject()))),
                Some(RecordKind::ResourceDropped) => {
                    ended.insert((Some(RecordKind::ResourceCreated), record.subject()));
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_add_and_remove_what_lives() {
        let unit = |kind, id| vec![Record::new(kind, 1, id), Record::argument(9)];
        let spawns = [1, 2].map(|task| unit(RecordKind::Spawn, task));
        let mut live = LiveRecords { records: spawns.to_vec(), names: vec![(1, "a".into()), (2, "b".into())] };
        let mut payload = vec![0; 4];
        let ends = [Record::new(RecordKind::TaskClosed, 2, 1), Record::new(RecordKind::TaskClosed, 2, 4)];
        let created = [unit(RecordKind::Spawn, 3), unit(RecordKind::Spawn, 4), unit(RecordKind::ResourceCreated, 1)];
        let records = created.iter().flatten().chain(&ends);
        payload.extend(records.flat_map(|record| record.to_bytes()));
        let mut frames = Vec::new();
        write_frame(FrameKind::Round as u8, &[], &mut frames);
        write_frame(FrameKind::Records as u8, &payload, &mut frames);
        live.update(&frames);
        assert_eq!(live.records, [&spawns[1], &created[0], &created[2]].map(Clone::clone));
        assert_eq!(live.names, [(2, "b".into())]);
    }
}
