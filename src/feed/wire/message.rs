//! One update as it came: bytes that are looked through once and then decoded a little at a time.
//!
//! A first message can be hundreds of megabytes, and bytes of somebody else's can stand for many times their number in
//! memory. So nothing is decoded as a whole: the message is taken apart into [`Update`]s of a few entries each, in which
//! each new thing comes together with what is told of it. Entries that are too long, or too many, are left out and
//! counted.

mod fields;

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

use fields::{Field, Fields, Unreadable};

/// Bytes of one entry: a task with its fields, a resource with its attributes.
const ENTRY_BYTES_MAX: usize = 1 << 16;

/// Entries of one kind in one message.
const ENTRIES_MAX: usize = 1 << 20;

/// Entries that are decoded at once, and about so many bytes of them: decoded they may take forty times as much.
const PART_ENTRIES: usize = 512;
const PART_BYTES: usize = 1 << 20;

/// A piece of the message.
type Place = Range<usize>;

/// New things of one kind, and what is told of things of that kind.
#[derive(Debug, Default)]
struct Section {
    new: Vec<(u64, Place)>,
    /// By span id, in its order.
    stats: Vec<(u64, Place)>,
    dropped: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Message {
    bytes: Bytes,
    pub now: Option<Timestamp>,
    tasks: Section,
    resources: Section,
    operations: Section,
    poll_ops: Vec<Place>,
    metadata: Vec<Place>,
    cut: u64,
}

/// One thing of a section: when it was created, what is new of it, what is told of it.
type Entry = ((i64, i32), Option<Place>, Option<(u64, Place)>);

impl Message {
    /// Looks `bytes` through.
    ///
    /// # Errors
    /// Where they are no update.
    pub fn read(bytes: Bytes) -> Result<Self, Unreadable> {
        let mut message = Self {
            now: None,
            tasks: Section::default(),
            resources: Section::default(),
            operations: Section::default(),
            poll_ops: Vec::new(),
            metadata: Vec::new(),
            cut: 0,
            bytes: bytes.clone(),
        };
        for field in Fields::of(&bytes, 0..bytes.len()) {
            match field? {
                (1, Field::Bytes(place)) => message.now = Timestamp::decode(&bytes[place]).ok(),
                (2, Field::Bytes(place)) => message.cut += message.tasks.read(&bytes, place, [1, 3, 4])?,
                (3, Field::Bytes(place)) => {
                    message.cut += message.resources.read(&bytes, place.clone(), [1, 2, 4])?;
                    message.cut += places(&bytes, place, 3, &mut message.poll_ops)?;
                }
                (4, Field::Bytes(place)) => message.cut += message.operations.read(&bytes, place, [1, 2, 3])?,
                (5, Field::Bytes(place)) => message.cut += places(&bytes, place, 1, &mut message.metadata)?,
                _ => {}
            }
        }
        // Once, for a message may bring a section in as many pieces as it likes.
        for section in [&mut message.tasks, &mut message.resources, &mut message.operations] {
            section.stats.sort_by_key(|(span, _)| *span);
        }
        Ok(message)
    }

    /// Entries that were left out so far, for they were too long, too many or broken.
    pub fn cut(&self) -> u64 {
        self.cut
    }

    /// Events that the program says it dropped: of tasks, of resources, of async operations.
    pub fn dropped(&self) -> [u64; 3] {
        [self.tasks.dropped, self.resources.dropped, self.operations.dropped]
    }

    /// The tasks of which something is told, by span id, and when each was created.
    pub fn tasks(&self) -> impl Iterator<Item = (u64, Option<Timestamp>)> + '_ {
        self.tasks.stats.iter().map(|(span, place)| (*span, created(&self.bytes, place)))
    }

    /// When each thing of which something is told was created.
    pub fn creations(&self) -> impl Iterator<Item = Timestamp> + '_ {
        let sections = [&self.tasks, &self.resources, &self.operations];
        let stats = sections.into_iter().flat_map(|section| &section.stats);
        stats.filter_map(|(_, place)| created(&self.bytes, place))
    }

    /// The message part by part: tasks, resources, polls of async operations, then these; of each kind first what is new,
    /// oldest first. Drops and times are not among it. What was handed over is not there a second time.
    pub fn parts(&mut self) -> Parts<'_> {
        let metadata = std::mem::take(&mut self.metadata);
        let poll_ops = std::mem::take(&mut self.poll_ops);
        Parts {
            metadata: metadata.into_iter(),
            tasks: self.tasks.entries(&self.bytes).into_iter(),
            resources: self.resources.entries(&self.bytes).into_iter(),
            poll_ops: poll_ops.into_iter(),
            operations: self.operations.entries(&self.bytes).into_iter(),
            message: self,
        }
    }

    /// One entry; `None`, and counted, where it is broken.
    fn decode<M: prost::Message + Default>(&mut self, place: &Place) -> Option<M> {
        let decoded = M::decode(&self.bytes[place.clone()]).ok();
        self.cut += u64::from(decoded.is_none());
        decoded
    }

    fn decode_stats<M: prost::Message + Default>(&mut self, (span, place): &(u64, Place)) -> Option<(u64, M)> {
        Some((*span, self.decode(place)?))
    }
}

/// A message on its way, a few entries at a time.
pub struct Parts<'a> {
    metadata: std::vec::IntoIter<Place>,
    tasks: std::vec::IntoIter<Entry>,
    resources: std::vec::IntoIter<Entry>,
    poll_ops: std::vec::IntoIter<Place>,
    operations: std::vec::IntoIter<Entry>,
    message: &'a mut Message,
}

impl Iterator for Parts<'_> {
    type Item = Update;

    fn next(&mut self) -> Option<Update> {
        let message = &mut *self.message;
        let mut part = Update::default();
        if self.metadata.len() > 0 {
            let places = portion(&mut self.metadata, Place::len);
            let metadata = places.filter_map(|place| message.decode::<NewMetadata>(&place)).collect();
            part.new_metadata = Some(RegisterMetadata { metadata });
        } else if self.tasks.len() > 0 {
            let mut told = TaskUpdate::default();
            for (_, new, stats) in portion(&mut self.tasks, entry_bytes) {
                told.new_tasks.extend(new.and_then(|place| message.decode::<Task>(&place)));
                told.stats_update.extend(stats.and_then(|stats| message.decode_stats::<tasks::Stats>(&stats)));
            }
            part.task_update = Some(told);
        } else if self.resources.len() > 0 {
            let mut told = ResourceUpdate::default();
            for (_, new, stats) in portion(&mut self.resources, entry_bytes) {
                told.new_resources.extend(new.and_then(|place| message.decode::<Resource>(&place)));
                told.stats_update.extend(stats.and_then(|stats| message.decode_stats::<resources::Stats>(&stats)));
            }
            part.resource_update = Some(told);
        } else if self.poll_ops.len() > 0 {
            let places = portion(&mut self.poll_ops, Place::len);
            let new_poll_ops = places.filter_map(|place| message.decode::<PollOp>(&place)).collect();
            part.resource_update = Some(ResourceUpdate { new_poll_ops, ..ResourceUpdate::default() });
        } else if self.operations.len() > 0 {
            let mut told = AsyncOpUpdate::default();
            for (_, new, stats) in portion(&mut self.operations, entry_bytes) {
                told.new_async_ops.extend(new.and_then(|place| message.decode::<AsyncOp>(&place)));
                told.stats_update.extend(stats.and_then(|stats| message.decode_stats::<async_ops::Stats>(&stats)));
            }
            part.async_op_update = Some(told);
        } else {
            return None;
        }
        Some(part)
    }
}

/// So much of what is left as is decoded at once.
fn portion<T>(left: &mut std::vec::IntoIter<T>, bytes_of: impl Fn(&T) -> usize) -> impl Iterator<Item = T> {
    let mut bytes = 0;
    let fits = |entry: &&T| {
        let fits = bytes < PART_BYTES;
        bytes += bytes_of(entry);
        fits
    };
    let count = left.as_slice().iter().take(PART_ENTRIES).take_while(fits).count();
    left.by_ref().take(count)
}

fn entry_bytes((_, new, stats): &Entry) -> usize {
    new.as_ref().map_or(0, Place::len) + stats.as_ref().map_or(0, |(_, place)| place.len())
}

impl Section {
    /// Looks one kind's part of a message through; `tags` are those of what is new, of what is told and of the count of
    /// what was dropped. Gives how many entries are left out.
    fn read(&mut self, bytes: &[u8], place: Place, tags: [u32; 3]) -> Result<u64, Unreadable> {
        let mut cut = 0;
        for field in Fields::of(bytes, place) {
            let (tag, field) = field?;
            match field {
                Field::Number(number) if tag == tags[2] => self.dropped = number,
                Field::Bytes(place) if tag == tags[0] || tag == tags[1] => {
                    let list = if tag == tags[0] { &mut self.new } else { &mut self.stats };
                    let is_short = place.len() <= ENTRY_BYTES_MAX && list.len() < ENTRIES_MAX;
                    let entry = if tag == tags[0] { identified(bytes, place)? } else { keyed(bytes, place)? };
                    cut += u64::from(!is_short);
                    list.extend(is_short.then_some(entry));
                }
                _ => {}
            }
        }
        Ok(cut)
    }

    /// What is new with what is told of it, oldest first, and then what is told of the rest.
    fn entries(&mut self, bytes: &[u8]) -> Vec<Entry> {
        let new = std::mem::take(&mut self.new);
        let stats = std::mem::take(&mut self.stats);
        let mut is_paired = vec![false; stats.len()];
        let mut entries: Vec<Entry> = Vec::with_capacity(new.len().max(stats.len()));
        for (span, place) in new {
            let index = stats.partition_point(|(told, _)| *told < span);
            let told = stats.get(index).filter(|(told, _)| *told == span);
            let created = told.and_then(|(_, place)| created(bytes, place));
            if let Some(is_paired) = is_paired.get_mut(index).filter(|_| told.is_some()) {
                *is_paired = true;
            }
            entries.push((created.map_or((0, 0), |at| (at.seconds, at.nanos)), Some(place), told.cloned()));
        }
        entries.sort_by_key(|(created, ..)| *created);
        let rest = stats.into_iter().zip(is_paired).filter(|(_, is_paired)| !is_paired);
        entries.extend(rest.map(|(stats, _)| ((0, 0), None, Some(stats))));
        entries
    }
}

/// The entries of one repeated field. Gives how many are left out.
fn places(bytes: &[u8], place: Place, tag: u32, list: &mut Vec<Place>) -> Result<u64, Unreadable> {
    let mut cut = 0;
    for field in Fields::of(bytes, place) {
        if let (found, Field::Bytes(place)) = field?
            && found == tag
        {
            let is_short = place.len() <= ENTRY_BYTES_MAX && list.len() < ENTRIES_MAX;
            cut += u64::from(!is_short);
            list.extend(is_short.then_some(place));
        }
    }
    Ok(cut)
}

/// What is new begins with its id: a message of one number.
fn identified(bytes: &[u8], place: Place) -> Result<(u64, Place), Unreadable> {
    for field in Fields::of(bytes, place.clone()) {
        if let (1, Field::Bytes(id)) = field? {
            return Ok((number(bytes, id)?, place));
        }
    }
    Ok((0, place))
}

/// What is told is an entry of a map: a number, and what is told of that.
fn keyed(bytes: &[u8], place: Place) -> Result<(u64, Place), Unreadable> {
    let (mut key, mut value) = (0, place.end..place.end);
    for field in Fields::of(bytes, place) {
        match field? {
            (1, Field::Number(number)) => key = number,
            (2, Field::Bytes(place)) => value = place,
            _ => {}
        }
    }
    Ok((key, value))
}

fn number(bytes: &[u8], place: Place) -> Result<u64, Unreadable> {
    let mut found = 0;
    for field in Fields::of(bytes, place) {
        if let (1, Field::Number(number)) = field? {
            found = number;
        }
    }
    Ok(found)
}

/// The moment of creation, with which everything that is told begins.
fn created(bytes: &[u8], place: &Place) -> Option<Timestamp> {
    let first = Fields::of(bytes, place.clone()).next()?;
    let Ok((1, Field::Bytes(place))) = first else { return None };
    Timestamp::decode(&bytes[place]).ok()
}
