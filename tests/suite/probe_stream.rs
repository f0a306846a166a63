//! Writes streams of programs with the probe by hand.

use loopscope::feed::app_probe::{AppProbeDecoder, ProbeError};
use loopscope::trace::{Event, Trace};
use loopscope_probe::protocol::{
    Definition, Facts, FrameKind, Hello, Notice, Site, StackFrame, Thread, VERSION, write_frame,
};
use loopscope_probe::record::{Record, RecordKind};

/// The bytes of a stream.
#[derive(Clone, Debug, Default)]
pub struct ProbeStreamBuilder {
    bytes: Vec<u8>,
}

/// Returns the description of a program whose ticks are nanoseconds.
pub fn hello() -> Hello {
    Hello {
        protocol: VERSION,
        pid: 7,
        name: "app".to_owned(),
        runtime: "tokio".to_owned(),
        runtime_version: String::new(),
        is_clock_virtual: false,
        probe: "0.2.0".to_owned(),
        started_unix_ns: 1_700_000_000_000_000_000,
        base_unix_ns: 1_700_000_000_000_000_000,
        base_monotonic_ns: 0,
        ticks_per_second: 1_000_000_000,
        boot_id: String::new(),
        tasks: 0,
        facts: Facts { polls: true, wakes: true, resources: true, hooks: true },
        allows_control: false,
    }
}

/// Returns the description of such a Python program with asyncio.
pub fn asyncio_hello() -> Hello {
    Hello { runtime: "asyncio".to_owned(), runtime_version: "CPython 3.11.7".to_owned(), ..hello() }
}

/// Returns a chain of functions at lines of `app.py`.
pub fn frames(chain: &[(&str, u32)]) -> Vec<StackFrame> {
    let frame = |(function, line): &(&str, u32)| StackFrame {
        function: (*function).to_owned(),
        file: "/home/me/app.py".to_owned(),
        line: *line,
    };
    chain.iter().map(frame).collect()
}

impl ProbeStreamBuilder {
    /// Creates a stream of a program that lives from now on: it has a description and an empty snapshot.
    pub fn new() -> Self {
        Self::of(&hello()).end_snapshot()
    }

    /// Creates a stream with this description.
    pub fn of(hello: &Hello) -> Self {
        Self::default().json(FrameKind::Hello, hello)
    }

    pub fn json(self, kind: FrameKind, message: &impl serde::Serialize) -> Self {
        let payload = serde_json::to_vec(message).expect("messages are JSON");
        self.frame(kind as u8, &payload)
    }

    pub fn frame(mut self, kind: u8, payload: &[u8]) -> Self {
        write_frame(kind, payload, &mut self.bytes);
        self
    }

    pub fn end_snapshot(self) -> Self {
        self.frame(FrameKind::SnapshotEnd as u8, &[])
    }

    /// Defines a site of this kind and name at a line of `app.rs`.
    pub fn site(self, id: u64, kind: &str, name: &str) -> Self {
        let site = Site {
            id,
            kind: kind.to_owned(),
            name: name.to_owned(),
            file: "app.rs".to_owned(),
            line: u32::try_from(id).expect("a small id"),
            ..Site::default()
        };
        self.json(FrameKind::Definition, &Definition::Site(site))
    }

    /// Defines a site of a Python program, with a chain of functions; it is located in the innermost one.
    pub fn python_site(self, id: u64, (kind, name): (&str, &str), chain: &[(&str, u32)]) -> Self {
        let site = Site { id, kind: kind.to_owned(), name: name.to_owned(), frames: frames(chain), ..Site::default() };
        self.define(&Definition::Site(site))
    }

    pub fn define(self, definition: &Definition) -> Self {
        self.json(FrameKind::Definition, definition)
    }

    /// Defines a thread; `worker` is its index.
    pub fn thread(self, id: u32, worker: Option<u32>) -> Self {
        let thread = Thread { id, name: format!("thread-{id}"), worker, runtime: 1, system_id: 100 + id };
        self.json(FrameKind::Definition, &Definition::Thread(thread))
    }

    pub fn attribute_name(self, id: u64, name: &str) -> Self {
        self.json(FrameKind::Definition, &Definition::AttributeName { id, name: name.to_owned() })
    }

    /// Adds records of a thread: kind, ticks, subject and arguments.
    pub fn records(self, thread: u32, records: &[(RecordKind, u64, u64, &[u64])]) -> Self {
        let mut payload = thread.to_le_bytes().to_vec();
        for (kind, ticks, subject, arguments) in records {
            payload.extend(Record::new(*kind, *ticks, *subject).to_bytes());
            arguments.iter().for_each(|value| payload.extend(Record::argument(*value).to_bytes()));
        }
        self.frame(FrameKind::Records as u8, &payload)
    }

    /// Ends a round.
    pub fn round(self, ticks: u64) -> Self {
        let mut payload = ticks.to_le_bytes().to_vec();
        payload.extend(ticks.to_le_bytes());
        self.frame(FrameKind::Round as u8, &payload)
    }

    /// Adds the end of the program.
    pub fn bye(self) -> Self {
        self.frame(FrameKind::Bye as u8, &[])
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Decodes the whole stream.
    pub fn decode(&self) -> Decoded {
        Decoded::of(AppProbeDecoder::of_connection(), &self.bytes).expect("a valid stream")
    }
}

/// Returns a stream with every kind of record, as a seed for fuzzing.
pub fn seed() -> ProbeStreamBuilder {
    use RecordKind::*;
    const NONE: &[u64] = &[];
    let poll = |from: u64, task: u64| {
        [(PollStart, from, task, NONE), (WakerCloned, from + 1, task, NONE), (PollEnd, from + 5, task, NONE)]
    };
    let lock = [
        (PollStart, 300, 1, NONE),
        (OperationCreated, 301, 200, &[4, 100][..]),
        (OperationPolled, 302, 200, NONE),
        (OperationPending, 303, 200, NONE),
        (OperationPolled, 304, 200, NONE),
        (OperationReady, 305, 200, NONE),
        (OperationDropped, 306, 200, NONE),
        (ResourceAttribute, 307, 100, &[1, 1]),
        (ResourceAttribute, 308, 100, &[1, 0]),
        (WakerDropped, 309, 1, NONE),
        (PollEnd, 310, 1, NONE),
    ];
    ProbeStreamBuilder::of(&hello())
        .site(1, "task", "")
        .site(2, "blocking", "app::work")
        .site(3, "Sync", "Mutex")
        .site(4, "", "Mutex::lock")
        .attribute_name(1, "locked")
        .attribute_name(2, "permits +")
        .thread(1, Some(0))
        .thread(2, None)
        .records(0, &[(Spawn, 10, 1, &[1]), (ResourceCreated, 20, 100, &[3, 0])])
        .end_snapshot()
        .records(1, &[(Spawn, 100, 2, &[1]), (Spawn, 101, 3, &[2]), (Wake, 102, 1, NONE), (Park, 103, 0, NONE)])
        .records(2, &[(BlockingStart, 110, 3, NONE), (WakeDeferred, 120, 2, NONE), (BlockingEnd, 130, 3, NONE)])
        .records(2, &[(TaskEnded, 131, 3, &[0]), (TaskClosed, 132, 3, NONE)])
        .round(200)
        .records(1, &[(Unpark, 210, 0, NONE)])
        .records(1, &poll(220, 2))
        .records(1, &lock)
        .round(400)
        .records(
            1,
            &[(Paused, 410, 2, NONE), (Held, 420, 2, NONE), (Released, 430, 2, NONE), (Continued, 440, 0, NONE)],
        )
        .records(1, &[(Dropped, 450, 9, &[460]), (ResourceAttribute, 470, 100, &[2, 1])])
        .records(1, &[(Enter, 480, 2, NONE), (ExitPanicked, 490, 2, NONE), (Enter, 491, 2, NONE), (Exit, 492, 2, NONE)])
        .records(1, &[(TaskClosed, 493, 2, NONE), (ResourceDropped, 494, 100, NONE), (PollStart, 495, 1, NONE)])
        .records(1, &[(PollSkipped, 496, 1, NONE), (TaskEnded, 497, 1, &[1]), (PollStart, 498, 4, NONE)])
        .records(1, &[(PollPanicked, 499, 4, NONE)])
        .records(2, &[(LocalQueueDepth, 500, 1, &[0, 19]), (GlobalQueueDepth, 500, 1, &[7])])
        .round(500)
        .python_site(5, ("timer", "sleep"), &[("main", 3), ("nap", 7)])
        .define(&Definition::TaskError { task: 5, text: "ValueError: no".to_owned() })
        .records(1, &[(Spawn, 510, 5, &[1]), (PollStart, 511, 5, NONE), (Suspended, 512, 5, &[5, 0, 1])])
        .records(1, &[(PollEnd, 513, 5, NONE), (WokenBy, 514, 5, &[2, 4]), (AwaitEnded, 515, 5, &[1])])
        .records(1, &[(PollStart, 516, 5, NONE), (Sampled, 517, 5, &[5]), (TaskEnded, 518, 5, &[2])])
        .records(1, &[(PollEnd, 519, 5, NONE)])
        .define(&Definition::Notice(Notice {
            ticks: 520,
            task: 5,
            kind: "never_retrieved".to_owned(),
            text: "ValueError: no".to_owned(),
            ..Notice::default()
        }))
        .round(600)
        .bye()
}

/// A decoded stream.
pub struct Decoded {
    pub decoder: AppProbeDecoder,
    pub events: Vec<Event>,
    pub trace: Trace,
}

impl Decoded {
    /// Decodes `bytes` and the end of the stream.
    pub fn of(mut decoder: AppProbeDecoder, bytes: &[u8]) -> Result<Self, ProbeError> {
        let mut events = Vec::new();
        for chunk in bytes.chunks(1_000) {
            decoder.push(chunk)?;
            while decoder.replay(64, &mut events) {}
        }
        decoder.finish();
        while decoder.replay(64, &mut events) {}
        let mut trace = Trace::with_budget(16 << 20);
        trace.set_external();
        events.iter().cloned().for_each(|event| trace.apply(event));
        Ok(Self { decoder, events, trace })
    }
}
