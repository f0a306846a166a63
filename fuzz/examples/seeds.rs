//! Writes the seeds: small files of each kind, as the programs write them today.

use std::fs;
use std::io;
use std::path::Path;

use console_api::instrument::Update;
use console_api::tasks::{Stats, Task, TaskUpdate};
use console_api::{Id, PollStats};
use loopscope::control::Outcome;
use loopscope::feed::archive::{Head, Param, Writer, beginning};
use loopscope::trace::Trace;
use prost::Message;

#[path = "../../benches/synthetic.rs"]
mod synthetic;

use synthetic::{Synthetic, Telling};

fn archive(telling: Telling, tasks: usize, events: usize, with_rest: bool) -> Vec<u8> {
    let params = vec![("seconds".to_owned(), Param::Number(1.0))];
    let mut bytes = beginning(&Head { name: "seed".to_owned(), params, ..Head::default() });
    let (mut trace, mut writer) = (Trace::default(), Writer::default());
    for (number, event) in Synthetic::new(tasks, telling, 1).take(events).enumerate() {
        trace.apply(event);
        if number % (events / 3) == 0 {
            writer.new_chunks(&trace, &mut bytes).expect("memory takes it");
        }
    }
    writer.new_chunks(&trace, &mut bytes).expect("memory takes it");
    writer.flush(&mut bytes).expect("memory takes it");
    if with_rest {
        bytes.extend(writer.rest(&trace, Some(&Outcome::Cancelled), "").expect("it is short"));
    }
    bytes
}

fn recording() -> String {
    let at = |ms: u64| format!("\"at\":{{\"secs_since_epoch\":1,\"nanos_since_epoch\":{}}}", ms * 1_000_000);
    let mut lines = vec![
        "{\"v\":1}".to_owned(),
        format!("{{\"Spawn\":{{\"id\":1,{},\"fields\":[{{\"name\":\"kind\",\"value\":\"task\"}}]}}}}", at(0)),
    ];
    for round in 0..20 {
        lines.push(format!("{{\"Enter\":{{\"id\":1,{}}}}}", at(round * 10 + 1)));
        lines.push(format!("{{\"Exit\":{{\"id\":1,{}}}}}", at(round * 10 + 3)));
        let wake = "\"op\":{\"Wake\":{\"self_wake\":false}}";
        lines.push(format!("{{\"Waker\":{{\"id\":1,{wake},{}}}}}", at(round * 10 + 8)));
    }
    lines.push(format!("{{\"Close\":{{\"id\":1,{}}}}}", at(300)));
    lines.join("\n") + "\n"
}

fn wire() -> Vec<u8> {
    let id = |id| Some(Id { id });
    let task = Task { id: id(1), ..Task::default() };
    let stats = |polls| Stats {
        wakes: polls,
        poll_stats: Some(PollStats { polls, ..PollStats::default() }),
        ..Stats::default()
    };
    let mut bytes = Vec::new();
    for polls in 1..5 {
        let new_tasks = if polls == 1 { vec![task.clone()] } else { Vec::new() };
        let told = TaskUpdate { new_tasks, stats_update: [(1, stats(polls))].into(), dropped_events: 0 };
        let update = Update { task_update: Some(told), ..Update::default() };
        bytes.extend(update.encode_length_delimited_to_vec());
    }
    bytes
}

fn main() -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    let write = |kind: &str, name: &str, bytes: &[u8]| {
        fs::create_dir_all(folder.join(kind))?;
        fs::write(folder.join(kind).join(name), bytes)
    };
    write("archive", "whole", &archive(Telling::Whole, 4, 900, true))?;
    write("archive", "polls", &archive(Telling::Polls, 2, 400, true))?;
    write("archive", "cut", &archive(Telling::Whole, 2, 600, false))?;
    write("recording", "one-task", recording().as_bytes())?;
    write("wire", "four-updates", &wire())
}
