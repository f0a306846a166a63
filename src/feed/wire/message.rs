//! One update as received: indexed once, then decoded a few entries at a time.
//!
//! A first message can have hundreds of megabytes, and malicious bytes can decode to many times their size. So a
//! message is never decoded as a whole: it is split into [`Update`]s of a few entries, each entity together with its
//! statistics. Entries that are too long or too many are skipped and counted.

mod proto_fields;

use std::ops::Range;

use console_api::async_ops::{AsyncOp, AsyncOpUpdate};
use console_api::instrument::Update;
use console_api::register_metadata::NewMetadata;
use console_api::resources::{PollOp, Resource, ResourceUpdate};
use console_api::tasks::{Task, TaskUpdate};
use console_api::{RegisterMetadata, async_ops, resources, tasks};
use prost::Message as _;
use prost_types::Timestamp;
use tonic::codegen::Bytes;

use proto_fields::{MalformedMessage, ProtoField, ProtoFields};

/// Longest entry, in bytes: a task with its fields, a resource with its attributes.
const ENTRY_BYTES_MAX: usize = 1 << 16;

/// Most entries of one kind in one message.
const ENTRIES_MAX: usize = 1 << 20;

/// Most entries decoded at once, and about how many bytes of them; decoded, they may take 40 times as much.
const PART_ENTRIES: usize = 512;
const PART_BYTES: usize = 1 << 20;

/// A part of the message.
type ByteRange = Range<usize>;

/// New entities of one kind, and statistics of entities of that kind.
#[derive(Debug, Default)]
struct MessageSection {
    new: Vec<(u64, ByteRange)>,
    /// Statistics by span id, sorted.
    stats: Vec<(u64, ByteRange)>,
    dropped: u64,
}

/// An indexed message.
#[derive(Debug)]
pub struct ConsoleMessage {
    bytes: Bytes,
    /// When the program published it.
    pub now: Option<Timestamp>,
    tasks: MessageSection,
    resources: MessageSection,
    async_ops: MessageSection,
    poll_ops: Vec<ByteRange>,
    metadata: Vec<ByteRange>,
    skipped: u64,
}

/// One entity of a section: creation time, description if new, and statistics.
type SectionEntry = ((i64, i32), Option<ByteRange>, Option<(u64, ByteRange)>);

impl ConsoleMessage {
    /// Indexes `bytes`.
    ///
    /// # Errors
    /// If they are not an update.
    pub fn parse(bytes: Bytes) -> Result<Self, MalformedMessage> {
        let mut message = Self {
            now: None,
            tasks: MessageSection::default(),
            resources: MessageSection::default(),
            async_ops: MessageSection::default(),
            poll_ops: Vec::new(),
            metadata: Vec::new(),
            skipped: 0,
            bytes: bytes.clone(),
        };
        for field in ProtoFields::new(&bytes, 0..bytes.len()) {
            match field? {
                (1, ProtoField::Bytes(range)) => message.now = Timestamp::decode(&bytes[range]).ok(),
                (2, ProtoField::Bytes(range)) => message.skipped += message.tasks.index(&bytes, range, [1, 3, 4])?,
                (3, ProtoField::Bytes(range)) => {
                    message.skipped += message.resources.index(&bytes, range.clone(), [1, 2, 4])?;
                    message.skipped += index_repeated(&bytes, range, 3, &mut message.poll_ops)?;
                }
                (4, ProtoField::Bytes(range)) => {
                    message.skipped += message.async_ops.index(&bytes, range, [1, 2, 3])?;
                }
                (5, ProtoField::Bytes(range)) => {
                    message.skipped += index_repeated(&bytes, range, 1, &mut message.metadata)?;
                }
                _ => {}
            }
        }
        // Sorted once: a message may split a section into any number of pieces.
        for section in [&mut message.tasks, &mut message.resources, &mut message.async_ops] {
            section.stats.sort_by_key(|(span, _)| *span);
        }
        Ok(message)
    }

    /// Returns the number of entries skipped so far: too long, too many or malformed.
    pub fn skipped_entries(&self) -> u64 {
        self.skipped
    }

    /// Returns how many events the program dropped: of tasks, of resources, of async operations.
    pub fn dropped_events(&self) -> [u64; 3] {
        [self.tasks.dropped, self.resources.dropped, self.async_ops.dropped]
    }

    /// Returns the tasks with statistics: span id and creation time.
    pub fn task_creations(&self) -> impl Iterator<Item = (u64, Option<Timestamp>)> + '_ {
        self.tasks.stats.iter().map(|(span, range)| (*span, creation_time(&self.bytes, range)))
    }

    /// Returns the creation times of all entities with statistics.
    pub fn creation_times(&self) -> impl Iterator<Item = Timestamp> + '_ {
        let sections = [&self.tasks, &self.resources, &self.async_ops];
        let stats = sections.into_iter().flat_map(|section| &section.stats);
        stats.filter_map(|(_, range)| creation_time(&self.bytes, range))
    }

    /// Takes the entries in parts: metadata, tasks, resources, polls of async operations, async operations. Of each
    /// kind, new entities come first, oldest first. Timestamp and drop counts are not among them.
    pub fn parts(&mut self) -> MessageParts<'_> {
        let metadata = std::mem::take(&mut self.metadata);
        let poll_ops = std::mem::take(&mut self.poll_ops);
        MessageParts {
            metadata: metadata.into_iter(),
            tasks: self.tasks.entries(&self.bytes).into_iter(),
            resources: self.resources.entries(&self.bytes).into_iter(),
            poll_ops: poll_ops.into_iter(),
            async_ops: self.async_ops.entries(&self.bytes).into_iter(),
            message: self,
        }
    }

    /// Decodes one entry; counts it as skipped and returns `None` if it is malformed.
    fn decode<M: prost::Message + Default>(&mut self, range: &ByteRange) -> Option<M> {
        let decoded = M::decode(&self.bytes[range.clone()]).ok();
        self.skipped += u64::from(decoded.is_none());
        decoded
    }

    fn decode_stats<M: prost::Message + Default>(&mut self, (span, range): &(u64, ByteRange)) -> Option<(u64, M)> {
        Some((*span, self.decode(range)?))
    }
}

/// Iterator over the parts of a message.
pub struct MessageParts<'a> {
    metadata: std::vec::IntoIter<ByteRange>,
    tasks: std::vec::IntoIter<SectionEntry>,
    resources: std::vec::IntoIter<SectionEntry>,
    poll_ops: std::vec::IntoIter<ByteRange>,
    async_ops: std::vec::IntoIter<SectionEntry>,
    message: &'a mut ConsoleMessage,
}

impl Iterator for MessageParts<'_> {
    type Item = Update;

    fn next(&mut self) -> Option<Update> {
        let message = &mut *self.message;
        let mut part = Update::default();
        if self.metadata.len() > 0 {
            let ranges = next_entries(&mut self.metadata, ByteRange::len);
            let metadata = ranges.filter_map(|range| message.decode::<NewMetadata>(&range)).collect();
            part.new_metadata = Some(RegisterMetadata { metadata });
        } else if self.tasks.len() > 0 {
            let mut update = TaskUpdate::default();
            for (_, new, stats) in next_entries(&mut self.tasks, entry_bytes) {
                update.new_tasks.extend(new.and_then(|range| message.decode::<Task>(&range)));
                update.stats_update.extend(stats.and_then(|stats| message.decode_stats::<tasks::Stats>(&stats)));
            }
            part.task_update = Some(update);
        } else if self.resources.len() > 0 {
            let mut update = ResourceUpdate::default();
            for (_, new, stats) in next_entries(&mut self.resources, entry_bytes) {
                update.new_resources.extend(new.and_then(|range| message.decode::<Resource>(&range)));
                update.stats_update.extend(stats.and_then(|stats| message.decode_stats::<resources::Stats>(&stats)));
            }
            part.resource_update = Some(update);
        } else if self.poll_ops.len() > 0 {
            let ranges = next_entries(&mut self.poll_ops, ByteRange::len);
            let new_poll_ops = ranges.filter_map(|range| message.decode::<PollOp>(&range)).collect();
            part.resource_update = Some(ResourceUpdate { new_poll_ops, ..ResourceUpdate::default() });
        } else if self.async_ops.len() > 0 {
            let mut update = AsyncOpUpdate::default();
            for (_, new, stats) in next_entries(&mut self.async_ops, entry_bytes) {
                update.new_async_ops.extend(new.and_then(|range| message.decode::<AsyncOp>(&range)));
                update.stats_update.extend(stats.and_then(|stats| message.decode_stats::<async_ops::Stats>(&stats)));
            }
            part.async_op_update = Some(update);
        } else {
            return None;
        }
        Some(part)
    }
}

/// Takes the next entries, up to the limits of one part.
fn next_entries<T>(left: &mut std::vec::IntoIter<T>, bytes_of: impl Fn(&T) -> usize) -> impl Iterator<Item = T> {
    let mut bytes = 0;
    let fits = |entry: &&T| {
        let fits = bytes < PART_BYTES;
        bytes += bytes_of(entry);
        fits
    };
    let count = left.as_slice().iter().take(PART_ENTRIES).take_while(fits).count();
    left.by_ref().take(count)
}

fn entry_bytes((_, new, stats): &SectionEntry) -> usize {
    new.as_ref().map_or(0, ByteRange::len) + stats.as_ref().map_or(0, |(_, range)| range.len())
}

impl MessageSection {
    /// Indexes one section. `tags` are the field numbers of new entities, of statistics and of the drop count. Returns
    /// the number of skipped entries.
    fn index(&mut self, bytes: &[u8], range: ByteRange, tags: [u32; 3]) -> Result<u64, MalformedMessage> {
        let mut skipped = 0;
        for field in ProtoFields::new(bytes, range) {
            let (tag, field) = field?;
            match field {
                ProtoField::Number(number) if tag == tags[2] => self.dropped = number,
                ProtoField::Bytes(range) if tag == tags[0] || tag == tags[1] => {
                    let list = if tag == tags[0] { &mut self.new } else { &mut self.stats };
                    let is_accepted = range.len() <= ENTRY_BYTES_MAX && list.len() < ENTRIES_MAX;
                    let entry = if tag == tags[0] { new_entry(bytes, range)? } else { map_entry(bytes, range)? };
                    skipped += u64::from(!is_accepted);
                    list.extend(is_accepted.then_some(entry));
                }
                _ => {}
            }
        }
        Ok(skipped)
    }

    /// Takes new entities with their statistics, oldest first, and then the remaining statistics.
    fn entries(&mut self, bytes: &[u8]) -> Vec<SectionEntry> {
        let new = std::mem::take(&mut self.new);
        let stats = std::mem::take(&mut self.stats);
        let mut is_paired = vec![false; stats.len()];
        let mut entries: Vec<SectionEntry> = Vec::with_capacity(new.len().max(stats.len()));
        for (span, range) in new {
            let index = stats.partition_point(|(key, _)| *key < span);
            let entry_stats = stats.get(index).filter(|(key, _)| *key == span);
            let created = entry_stats.and_then(|(_, range)| creation_time(bytes, range));
            if let Some(is_paired) = is_paired.get_mut(index).filter(|_| entry_stats.is_some()) {
                *is_paired = true;
            }
            entries.push((created.map_or((0, 0), |at| (at.seconds, at.nanos)), Some(range), entry_stats.cloned()));
        }
        entries.sort_by_key(|(created, ..)| *created);
        let rest = stats.into_iter().zip(is_paired).filter(|(_, is_paired)| !is_paired);
        entries.extend(rest.map(|(stats, _)| ((0, 0), None, Some(stats))));
        entries
    }
}

/// Indexes one repeated field. Returns the number of skipped entries.
fn index_repeated(
    bytes: &[u8],
    range: ByteRange,
    tag: u32,
    list: &mut Vec<ByteRange>,
) -> Result<u64, MalformedMessage> {
    let mut skipped = 0;
    for field in ProtoFields::new(bytes, range) {
        if let (found, ProtoField::Bytes(range)) = field?
            && found == tag
        {
            let is_accepted = range.len() <= ENTRY_BYTES_MAX && list.len() < ENTRIES_MAX;
            skipped += u64::from(!is_accepted);
            list.extend(is_accepted.then_some(range));
        }
    }
    Ok(skipped)
}

/// Reads the id of a new entity: a message with one number.
fn new_entry(bytes: &[u8], range: ByteRange) -> Result<(u64, ByteRange), MalformedMessage> {
    for field in ProtoFields::new(bytes, range.clone()) {
        if let (1, ProtoField::Bytes(id)) = field? {
            return Ok((read_number(bytes, id)?, range));
        }
    }
    Ok((0, range))
}

/// Reads a map entry: a number as key, and the statistics as value.
fn map_entry(bytes: &[u8], range: ByteRange) -> Result<(u64, ByteRange), MalformedMessage> {
    let (mut key, mut value) = (0, range.end..range.end);
    for field in ProtoFields::new(bytes, range) {
        match field? {
            (1, ProtoField::Number(number)) => key = number,
            (2, ProtoField::Bytes(range)) => value = range,
            _ => {}
        }
    }
    Ok((key, value))
}

fn read_number(bytes: &[u8], range: ByteRange) -> Result<u64, MalformedMessage> {
    let mut found = 0;
    for field in ProtoFields::new(bytes, range) {
        if let (1, ProtoField::Number(number)) = field? {
            found = number;
        }
    }
    Ok(found)
}

/// Reads the creation time, the first field of all statistics.
fn creation_time(bytes: &[u8], range: &ByteRange) -> Option<Timestamp> {
    let first = ProtoFields::new(bytes, range.clone()).next()?;
    let Ok((1, ProtoField::Bytes(range))) = first else { return None };
    Timestamp::decode(&bytes[range]).ok()
}
