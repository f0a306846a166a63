//! How tasks end.

use loopscope_probe::record::RecordKind;

use crate::peer::{Event, numbers, run};

const UNKNOWN: u64 = 3;

fn check(hooks: &str, is_known: impl Fn(&str, u64) -> bool) {
    let (stream, output) = run(&format!("ends {hooks}"));
    stream.check();
    let events = stream.by_time();
    let ends = numbers(&output, "end");
    assert_eq!(ends.len(), 13);
    for end in ends {
        let [task, outcome, polls] = end[..] else { panic!("{end:?}") };
        let of_task: Vec<&&Event> =
            events.iter().filter(|event| event.subject == task && is_about_task(event.kind)).collect();
        let kinds: Vec<RecordKind> = of_task.iter().map(|event| event.kind).collect();
        let count = |kind| kinds.iter().filter(|&&known| known == kind).count() as u64;
        let site = &stream.sites[&of_task[0].arguments[0]];
        let story = format!("task {task}, {}, {kinds:?}", site.kind);

        assert_eq!((kinds[0], kinds.last()), (RecordKind::Spawn, Some(&RecordKind::TaskClosed)), "{story}");
        let reported = of_task.iter().find(|event| event.kind == RecordKind::TaskEnded);
        let reported = reported.map_or(UNKNOWN, |event| event.arguments[0]);
        let expected = if is_known(&site.kind, outcome) { outcome } else { UNKNOWN };
        assert_eq!(reported, expected, "{story}");

        let skipped = count(RecordKind::PollSkipped);
        let drops = u64::from(count(RecordKind::Enter) > 0);
        let begun = count(RecordKind::PollStart) + count(RecordKind::BlockingStart) + count(RecordKind::Enter) - drops;
        assert_eq!(begun - skipped, polls, "{story}");
        let ended = [RecordKind::PollEnd, RecordKind::PollPanicked, RecordKind::BlockingEnd, RecordKind::Exit];
        let ended: u64 = ended.map(count).iter().sum::<u64>() + count(RecordKind::ExitPanicked);
        let skips_of_polls = if site.kind == "blocking" { 0 } else { skipped };
        assert_eq!(ended + skips_of_polls, begun + drops, "{story}");
    }
}

fn is_about_task(kind: RecordKind) -> bool {
    use RecordKind::{
        BlockingEnd, BlockingStart, Enter, Exit, ExitPanicked, PollEnd, PollPanicked, PollSkipped, PollStart, Spawn,
        TaskClosed, TaskEnded,
    };
    let kinds =
        [Spawn, PollStart, PollEnd, PollPanicked, PollSkipped, Enter, Exit, ExitPanicked, TaskEnded, TaskClosed];
    kinds.contains(&kind) || [BlockingStart, BlockingEnd].contains(&kind)
}

#[test]
fn hooks_report_how_tasks_end() {
    check("with", |_, _| true);
}

#[test]
fn spans_report_panics_and_blocking_closures() {
    check("without", |kind, outcome| kind == "blocking" || outcome == 2);
}
