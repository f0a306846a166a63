//! The decoder of one stream.

use std::collections::VecDeque;

use loopscope_probe::protocol::{Facts, Hello, Reply};
use loopscope_probe::record::RecordKind;
use rustc_hash::FxHashSet;

use super::frame_reader::{FrameReader, ProbeError, ProbeFrame};
use super::replay::{ReplayCounts, StreamReplay};
use super::thread_merger::ThreadMerger;
use super::timed_record::TimedRecord;
use crate::feed::asyncio_names;
use crate::trace::{Event, Nanos, TaskId, WorkerId};

/// Records of the snapshot, and records of threads that precede its end. Further ones are skipped.
const EARLY_RECORDS_MAX: usize = 1 << 21;

/// Replies that are kept until they are taken; older ones are dropped.
const REPLIES_MAX: usize = 64;

/// What arrived before recording is known to have begun.
#[derive(Debug, Default)]
struct EarlyRecords {
    snapshot: Vec<TimedRecord>,
    threads: Vec<(u32, Vec<TimedRecord>)>,
    count: usize,
    is_complete: bool,
}

/// Decodes one stream.
#[derive(Debug)]
pub struct AppProbeDecoder {
    frames: FrameReader,
    hello: Option<Box<Hello>>,
    /// `None` once the merger has them.
    early: Option<EarlyRecords>,
    merger: ThreadMerger,
    replay: StreamReplay,
    replies: VecDeque<Reply>,
    /// Events that were decoded and not taken yet.
    events: Vec<Event>,
    /// Ticks of the last round.
    last_round: u64,
    skipped: u64,
    has_ended: bool,
    /// All records have arrived.
    is_finished: bool,
}

impl AppProbeDecoder {
    /// Creates a decoder of a connection.
    pub fn of_connection() -> Self {
        Self::new(FrameReader::of_connection())
    }

    /// Creates a decoder of a file.
    pub fn of_file() -> Self {
        Self::new(FrameReader::of_file())
    }

    fn new(frames: FrameReader) -> Self {
        Self {
            frames,
            hello: None,
            early: Some(EarlyRecords::default()),
            merger: ThreadMerger::default(),
            replay: StreamReplay::default(),
            replies: VecDeque::new(),
            events: Vec::new(),
            last_round: 0,
            skipped: 0,
            has_ended: false,
            is_finished: false,
        }
    }

    /// Returns the description of the program, once it has arrived. Its texts are not sanitized.
    pub fn hello(&self) -> Option<&Hello> {
        self.hello.as_deref()
    }

    /// Returns what the program records, once it has described itself.
    pub fn facts(&self) -> Option<Facts> {
        self.hello.as_ref().map(|_| self.replay.facts())
    }

    /// Whether the program reports what it prints.
    pub fn reports_output(&self) -> bool {
        self.hello.as_ref().is_some_and(|hello| hello.runtime == asyncio_names::RUNTIME)
    }

    /// Whether the program has announced its end.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Whether the snapshot is complete, so that what follows is live.
    pub fn has_begun(&self) -> bool {
        self.early.is_none()
    }

    /// Whether the stream ended inside a frame.
    pub fn is_truncated(&self) -> bool {
        self.frames.is_truncated()
    }

    /// Returns the number of bytes that were decoded, up to the first frame that cannot be.
    pub fn position(&self) -> u64 {
        self.frames.position()
    }

    /// Returns the number of tasks so far.
    pub fn task_count(&self) -> usize {
        self.replay.tasks.count()
    }

    /// Whether timers of the program stand still while it is paused, as asyncio's do.
    pub fn stops_timers(&self) -> bool {
        self.hello.as_ref().is_some_and(|hello| hello.runtime == asyncio_names::RUNTIME)
    }

    /// Returns the program's id of a live task, for commands.
    pub fn number_of(&self, task: TaskId) -> Option<u64> {
        self.replay.number_of(task)
    }

    /// Returns the task with this id in the program, if it lives.
    pub fn task_of(&self, number: u64) -> Option<TaskId> {
        self.replay.tasks.get(number).map(|task| task.id)
    }

    /// Returns how long all pauses that ended took, in nanoseconds. Loop time is without them.
    pub fn paused_ns(&self) -> u64 {
        self.replay.clock.paused_ns()
    }

    /// Returns each worker with the thread in the system that it is, if that is known.
    pub fn system_threads(&self) -> impl Iterator<Item = (WorkerId, Option<u32>)> + '_ {
        self.replay.system_threads()
    }

    /// Returns loop time at a time of the system's clock, in nanoseconds since 1970. The two clocks may drift apart by a
    /// little.
    pub fn loop_time_at(&self, epoch_ns: u64) -> Nanos {
        let base = self.hello.as_ref().map_or(0, |hello| hello.base_unix_ns);
        self.replay.clock.loop_time_since_base(epoch_ns.saturating_sub(base))
    }

    /// Takes the oldest answer of the program's gate.
    pub fn take_reply(&mut self) -> Option<Reply> {
        self.replies.pop_front()
    }

    /// Names the breakpoint that has paused the program. The record of the pause may follow.
    pub fn set_breakpoint(&mut self, text: &str) {
        self.replay.breakpoint = Some(text.into());
    }

    /// Returns the number of records that were decoded.
    pub fn record_count(&self) -> u64 {
        self.replay.counts.records
    }

    /// Adds bytes of the stream. Call [`Self::replay`] until nothing is left before adding more.
    ///
    /// # Errors
    /// Returns an error if this is no stream of a probe, if its version differs, or if it is malformed.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), ProbeError> {
        self.frames.push(bytes);
        while let Some(frame) = self.frames.next_frame()? {
            self.handle(frame);
        }
        Ok(())
    }

    fn handle(&mut self, frame: ProbeFrame) {
        match frame {
            ProbeFrame::Hello(hello) if self.hello.is_none() => {
                self.replay.begin(&hello);
                self.hello = Some(hello);
            }
            ProbeFrame::Hello(_) => self.skipped += 1,
            ProbeFrame::Records { thread, records } => self.add_records(thread, records),
            ProbeFrame::Definition(definition) => self.replay.define(&definition, &mut self.events),
            ProbeFrame::Round { ticks, monotonic_ns } => {
                self.replay.clock.add_pair(ticks, monotonic_ns);
                self.last_round = self.last_round.max(ticks);
                if self.early.as_ref().is_some_and(|early| early.is_complete) {
                    self.begin_recording();
                }
                self.merger.finish_round(ticks);
            }
            ProbeFrame::Reply(reply) => {
                if self.replies.len() == REPLIES_MAX {
                    self.replies.pop_front();
                }
                self.replies.push_back(*reply);
            }
            ProbeFrame::Bye => self.has_ended = true,
            ProbeFrame::Output(output) => self.replay.output(&output, &mut self.events),
            ProbeFrame::SnapshotEnd => {
                if let Some(early) = &mut self.early {
                    early.is_complete = true;
                }
            }
        }
    }

    fn add_records(&mut self, thread: u32, records: Vec<TimedRecord>) {
        match &mut self.early {
            Some(early) if early.count + records.len() > EARLY_RECORDS_MAX => self.skipped += records.len() as u64,
            Some(early) => {
                early.count += records.len();
                match thread {
                    0 => early.snapshot.extend(records),
                    _ => early.threads.push((thread, records)),
                }
            }
            // The snapshot has ended.
            None if thread == 0 => self.skipped += records.len() as u64,
            None => self.add_live_records(thread, records),
        }
    }

    fn add_live_records(&mut self, thread: u32, records: Vec<TimedRecord>) {
        if let Some(index) = self.merger.index_of(thread) {
            self.replay.add_thread(index, thread, &records, &mut self.events);
            self.merger.push(index, records);
        } else {
            self.skipped += records.len() as u64;
        }
    }

    /// Begins with the snapshot and what arrived since.
    fn begin_recording(&mut self) {
        let Some(EarlyRecords { snapshot, threads, .. }) = self.early.take() else { return };
        let records = || threads.iter().flat_map(|(_, records)| records);
        let first = records().map(|record| record.ticks).min().unwrap_or(self.last_round);
        let from = snapshot.iter().map(|record| record.ticks).max().unwrap_or(0).max(first);
        let is_creation =
            |record: &&TimedRecord| matches!(record.kind, RecordKind::Spawn | RecordKind::ResourceCreated);
        let created: FxHashSet<(u8, u64)> =
            records().filter(is_creation).map(|record| (record.kind as u8, record.subject)).collect();
        let is_recorded = |record: &TimedRecord| created.contains(&(record.kind as u8, record.subject));
        self.replay.begin_recording(snapshot, from, is_recorded, &mut self.events);
        for (thread, records) in threads {
            self.add_live_records(thread, records);
        }
    }

    /// Decodes at most about `records_max` records, and appends their events to `events`. Returns whether more are left.
    pub fn replay(&mut self, records_max: usize, events: &mut Vec<Event>) -> bool {
        events.append(&mut self.events);
        for _ in 0..records_max {
            let replay = &self.replay;
            let Some(taken) = self.merger.take(|queue| replay.judge(queue)) else {
                let until = if self.is_finished { u64::MAX } else { self.merger.horizon() };
                self.replay.handle_messages(until, events);
                self.replay.report_wakers(events);
                return false;
            };
            self.replay.handle_messages(taken.record.ticks, events);
            self.replay.apply(&taken, &mut self.merger, events);
        }
        true
    }

    /// Ends the stream: everything that waits for more is decoded by further calls of [`Self::replay`].
    pub fn finish(&mut self) {
        self.begin_recording();
        self.merger.finish();
        self.is_finished = true;
    }

    /// Appends the loop time up to which everything was decoded to `events`.
    pub fn advance(&self, events: &mut Vec<Event>) {
        if self.has_begun() {
            events.push(Event::Advance { at: self.replay.clock.loop_time(self.merger.horizon()) });
        }
    }

    /// Describes what is missing, skipped or doubtful, in one or more clauses; empty if there is nothing.
    pub fn caveats(&self) -> String {
        let (frames, records) = self.frames.skipped();
        let ReplayCounts { doubtful, dropped, .. } = self.replay.counts;
        let clauses = [
            (dropped, "events dropped by the app: its buffers were full"),
            (self.replay.hidden(), "tasks, resources or awaits not shown: limit reached"),
            (records + self.skipped, "records skipped: unknown or malformed"),
            (frames, "messages skipped: unknown or malformed"),
            (doubtful, "records in doubtful order"),
        ];
        let counted = clauses.iter().filter(|(count, _)| *count > 0).map(|(count, clause)| format!("{count} {clause}"));
        counted.collect::<Vec<_>>().join("; ")
    }
}
