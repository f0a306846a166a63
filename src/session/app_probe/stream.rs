//! One stream of a program with the probe, from a connection or a file, and its trace.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::time::{Duration, Instant};

use loopscope_probe::protocol::{CommandKind, Facts, Start, VERSION};

use super::gate::RemoteGate;
use super::link::{LinkInput, ProbeLink};
use crate::control::SessionCommand;
use crate::feed::app_probe::AppProbeDecoder;
use crate::insight::Thresholds;
use crate::session::finding_watch::FindingWatch;
use crate::session::sources::{SourceReader, SourceTexts};
use crate::trace::{ERROR_MARK, Event, ReportedFacts, Trace};

/// Size of one read of a file in bytes.
const READ_BYTES: usize = 64 << 10;

/// Records that are decoded between two checks of the time budget.
const RECORDS_PER_CHECK: usize = 1_024;

/// Lines that are noted at most; of more, the newest are.
const PRINTED_MAX: usize = 1 << 14;

/// Where the bytes come from.
#[derive(Debug)]
enum StreamInput {
    Link(ProbeLink),
    File {
        file: File,
        bytes_read: u64,
    },
    /// Everything was read.
    Ended,
}

/// Why a stream has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamEnd {
    /// The program has announced its end, or the file is complete.
    Complete,
    /// The user ended the session.
    Detached,
    /// The connection was closed without that.
    Closed,
    /// The connection was closed before recording began: another loopscope is attached, for example.
    Refused,
    /// The stream cannot be decoded.
    Failed(String),
}

/// A stream.
pub struct ProbeStream {
    input: StreamInput,
    decoder: AppProbeDecoder,
    /// Decoded events that were not applied yet.
    events: Vec<Event>,
    /// The decoder has records that can be decoded now.
    has_records: bool,
    /// The secret that permits control.
    secret: Option<String>,
    has_started: bool,
    /// The program's state of pausing.
    pub gate: RemoteGate,
    pub sources: SourceTexts,
    source_reader: SourceReader,
    findings: FindingWatch,
    thresholds: Thresholds,
    /// Lines that the program reports, which also arrive in its pipes: whether each is on standard error, and its text.
    printed: Option<VecDeque<(bool, Box<str>)>>,
    end: Option<StreamEnd>,
}

impl ProbeStream {
    /// Creates the stream of a connection. `secret` permits control.
    pub fn of_link(link: ProbeLink, secret: Option<String>, source_reader: SourceReader) -> Self {
        Self::new(StreamInput::Link(link), AppProbeDecoder::of_connection(), secret, source_reader)
    }

    /// Creates the stream of a file.
    pub fn of_file(file: File, source_reader: SourceReader) -> Self {
        Self::new(StreamInput::File { file, bytes_read: 0 }, AppProbeDecoder::of_file(), None, source_reader)
    }

    fn new(input: StreamInput, decoder: AppProbeDecoder, secret: Option<String>, source_reader: SourceReader) -> Self {
        Self {
            input,
            decoder,
            events: Vec::new(),
            has_records: false,
            secret,
            has_started: false,
            gate: RemoteGate::default(),
            sources: SourceTexts::default(),
            source_reader,
            findings: FindingWatch::default(),
            thresholds: Thresholds::default(),
            printed: None,
            end: None,
        }
    }

    /// Sets the thresholds for breakpoints on findings.
    pub fn set_thresholds(&mut self, thresholds: Thresholds) {
        self.thresholds = thresholds;
    }

    /// Notes the lines that the program reports from now on, for [`Self::take_printed`].
    pub fn note_printed(&mut self) {
        self.printed = Some(VecDeque::new());
    }

    /// Takes the lines that were noted.
    pub fn take_printed(&mut self) -> impl Iterator<Item = (bool, Box<str>)> + '_ {
        self.printed.iter_mut().flat_map(|printed| printed.drain(..))
    }

    /// Returns the decoder.
    pub fn decoder(&self) -> &AppProbeDecoder {
        &self.decoder
    }

    /// Returns why the stream has ended; `None` before.
    pub fn end(&self) -> Option<&StreamEnd> {
        self.end.as_ref()
    }

    /// Returns whether its connection is still being made.
    pub fn is_connecting(&self) -> bool {
        matches!(&self.input, StreamInput::Link(link) if !link.is_connected())
    }

    /// Returns the number of bytes read of a file.
    pub fn bytes_read(&self) -> u64 {
        if let StreamInput::File { bytes_read, .. } = self.input { bytes_read } else { 0 }
    }

    /// Returns the breakpoint hit that paused the program.
    pub fn hit(&self, trace: &Trace) -> Option<crate::control::BreakpointHit> {
        let task = |number| self.decoder.task_of(number);
        self.gate
            .hit(trace.now(), task)
            .or_else(|| self.findings.hit.filter(|_| self.gate.phase() == crate::control::RunPhase::Paused))
    }

    /// Decodes and applies what has arrived, for about `budget`. Returns whether there was anything.
    pub fn pump(&mut self, budget: Duration, trace: &mut Trace) -> bool {
        let started = Instant::now();
        let mut changed = false;
        while self.end.is_none() && (!changed || started.elapsed() < budget) {
            if self.has_records {
                self.replay(trace);
                changed = true;
                continue;
            }
            match self.read() {
                Ok(true) => {
                    self.start(trace);
                    self.answer_replies();
                    changed = true;
                }
                Ok(false) => break,
                Err(end) => {
                    self.answer_replies();
                    self.finish(end, trace);
                    changed = true;
                }
            }
        }
        if self.end.is_none() && self.findings.check(trace, &self.thresholds) {
            self.command(SessionCommand::Pause, trace);
        }
        changed
    }

    /// Reads and decodes a chunk. Returns whether there was one, or why the stream has ended.
    fn read(&mut self) -> Result<bool, StreamEnd> {
        let bytes = match &mut self.input {
            StreamInput::Link(link) => match link.take() {
                LinkInput::Bytes(bytes) => bytes,
                LinkInput::Empty => return Ok(false),
                LinkInput::Closed if link.problem().is_some() => {
                    return Err(StreamEnd::Failed(link.problem().unwrap_or_default().to_owned()));
                }
                LinkInput::Closed if self.decoder.has_ended() => return Err(StreamEnd::Complete),
                LinkInput::Closed if self.decoder.has_begun() || self.decoder.hello().is_none() => {
                    return Err(StreamEnd::Closed);
                }
                LinkInput::Closed => return Err(StreamEnd::Refused),
            },
            StreamInput::File { file, bytes_read } => {
                let mut bytes = Vec::new();
                match file.take(READ_BYTES as u64).read_to_end(&mut bytes) {
                    Ok(0) => return Err(StreamEnd::Complete),
                    Ok(read) => *bytes_read += read as u64,
                    Err(error) => return Err(StreamEnd::Failed(format!("read error: {error}"))),
                }
                bytes
            }
            StreamInput::Ended => return Ok(false),
        };
        self.decoder.push(&bytes).map_err(|error| StreamEnd::Failed(error.to_string()))?;
        self.has_records = true;
        Ok(true)
    }

    /// Notes what the program reports, once it has described itself, and asks it to record.
    fn start(&mut self, trace: &mut Trace) {
        let (Some(hello), false) = (self.decoder.hello(), self.has_started) else { return };
        self.has_started = true;
        let Facts { polls, wakes, resources: awaits, .. } = hello.facts;
        trace.set_reported_facts(ReportedFacts { polls, wakes, awaits });
        if let StreamInput::Link(link) = &self.input {
            self.gate.expect_control(hello.allows_control || self.secret.is_some());
            let start = Start { protocol: VERSION, secret: self.secret.clone(), dump: false };
            link.send(CommandKind::Start, &start);
        }
    }

    /// Decodes some records and applies their events.
    fn replay(&mut self, trace: &mut Trace) {
        let before = self.decoder.record_count();
        self.has_records = self.decoder.replay(RECORDS_PER_CHECK, &mut self.events);
        if !self.has_records {
            self.decoder.advance(&mut self.events);
        }
        trace.count_probe_events(self.decoder.record_count() - before);
        for (file, text) in self.source_reader.read(&self.events) {
            self.sources.push(file, text);
        }
        if let Some(printed) = &mut self.printed {
            let lines = self.events.iter().filter_map(|event| match event {
                Event::Output { text, .. } => Some((text.starts_with(ERROR_MARK), text.clone())),
                _ => None,
            });
            printed.extend(lines);
            printed.drain(..printed.len().saturating_sub(PRINTED_MAX));
        }
        self.events.drain(..).for_each(|event| trace.apply(event));
    }

    fn answer_replies(&mut self) {
        while let Some(reply) = self.decoder.take_reply() {
            self.gate.answer(reply);
            self.gate.breakpoint().into_iter().for_each(|text| self.decoder.set_breakpoint(&text));
        }
    }

    /// Decodes what waits for more, and ends the stream.
    fn finish(&mut self, end: StreamEnd, trace: &mut Trace) {
        self.decoder.finish();
        self.has_records = true;
        while self.has_records {
            self.replay(trace);
        }
        self.input = StreamInput::Ended;
        self.end = Some(end);
    }

    /// Ends the stream for the user.
    pub fn quit(&mut self, trace: &mut Trace) {
        if self.end.is_none() {
            self.finish(StreamEnd::Detached, trace);
        }
    }

    /// Sends a command to the program's gate.
    pub fn command(&mut self, command: SessionCommand, trace: &Trace) {
        match command {
            SessionCommand::AddBreakpoint(breakpoint) => self.findings.add(breakpoint, trace),
            SessionCommand::ClearBreakpoints => self.findings.clear(),
            command if command.resumes_loop() => self.findings.hit = None,
            _ => {}
        }
        let decoder = &self.decoder;
        let command = self.gate.command(command, |task| decoder.number_of(task));
        if let (Some(command), StreamInput::Link(link)) = (command, &self.input) {
            link.send(CommandKind::Command, &command);
        }
    }
}
