//! What tasks wait on, and how awaits and tasks end, in apps with one and with several workers (`tests/apps/waits.rs`).

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::process::Command as Process;

use loopscope::insight::{Thresholds, run_lints};
use loopscope::session::{AppStdin, ExecSession, Session};
use loopscope::trace::{Task, TaskState, Trace};

use crate::attach::until;
use crate::example_app::{TempFolder, example_path};

const MEMORY_BYTES: usize = 256 << 20;

/// Loop time after which both feeds have reported what came before, in nanoseconds.
const SETTLE_NS: u64 = 700_000_000;

/// Worker counts on which each app runs; 0 stands for a current-thread runtime.
const WORKERS: [usize; 4] = [0, 1, 2, 4];

/// An app in an exec session. Its standard input stays open, so the app runs until the end of the test.
struct WaitingApp {
    session: ExecSession,
    _input: File,
    _folder: TempFolder,
}

/// Starts the app in `mode`, until all of its tasks wait or have ended and both feeds have reported that.
fn start(mode: &str, workers: usize) -> WaitingApp {
    let folder = TempFolder::new(&format!("waits-{mode}-{workers}"));
    let input = folder.path_of("input");
    assert!(Process::new("mkfifo").arg(&input).status().expect("run mkfifo").success());
    let script = format!("exec {} {mode} {workers} < {}", example_path("waits").display(), input.display());
    let command = ["sh", "-c", &script].map(Into::into);
    let session = ExecSession::start(&command, AppStdin::Null, MEMORY_BYTES).expect("create the session");
    let input = OpenOptions::new().write(true).open(&input).expect("open the pipe to the app");
    let mut app = WaitingApp { session, _input: input, _folder: folder };
    let ready = |trace: &Trace| trace.output().lines().iter().find(|line| &*line.text == "ready").map(|line| line.at);
    // Loop time follows the feeds: once it is well past, they have reported everything before.
    until(&mut app.session, "the app to be ready", |trace, _| {
        ready(trace).is_some_and(|at| trace.now() > at + SETTLE_NS)
    });
    app
}

impl WaitingApp {
    fn trace(&self) -> &Trace {
        self.session.trace()
    }

    fn task(&self, name: &str) -> &Task {
        self.trace().tasks().iter().find(|task| task.name() == name).unwrap_or_else(|| panic!("no task {name}"))
    }

    /// Returns what a task waits on.
    fn waits_on(&self, name: &str) -> Option<&str> {
        match self.trace().state(self.task(name).id) {
            Some(TaskState::Waiting(Some(id), _)) => {
                let site = self.trace().awaits().get(id).and_then(|found| self.trace().site(found.site));
                Some(&site.expect("the site is known").source)
            }
            Some(TaskState::Waiting(None, _)) => None,
            other => panic!("{name} does not wait: {other:?}"),
        }
    }

    /// Returns the sources of the awaits on which a task waits side by side, in order of creation.
    fn open_awaits(&self, name: &str) -> Vec<&str> {
        let sites = self
            .task(name)
            .open_awaits()
            .filter_map(|id| self.trace().site(self.trace().awaits().get(id).expect("an open await is retained").site));
        sites.map(|site| &*site.source).collect()
    }

    /// Returns the number of awaits of tasks whose names start with `name`, by source and outcome.
    fn outcomes(&self, name: &str) -> BTreeMap<(&str, &'static str), usize> {
        let mut found = BTreeMap::new();
        for (_, wait) in self.trace().awaits().iter() {
            let task = self.trace().task(wait.task).expect("the task is retained");
            if task.name().starts_with(name) {
                let source = &*self.trace().site(wait.site).expect("the site is known").source;
                *found.entry((source, wait.outcome().name())).or_default() += 1;
            }
        }
        found
    }

    fn findings(&self) -> Vec<&'static str> {
        let findings = run_lints(self.trace(), &Thresholds::default());
        findings.listed.into_iter().map(|finding| finding.name).collect()
    }
}

#[test]
fn every_stuck_task_waits_for_its_lock() {
    for workers in WORKERS {
        let mut app = start("deadlock", workers);
        let stuck = |app: &WaitingApp| {
            let tasks = app.trace().tasks().iter().filter(|task| task.meta.kind.is_task());
            tasks.filter(|task| app.waits_on(&task.name()) == Some("Mutex::lock")).count()
        };
        assert_eq!(stuck(&app), 42, "{workers} workers");
        let now = app.trace().now();
        until(&mut app.session, "a long wait", |trace, _| trace.now() > now + 1_200_000_000);
        assert_eq!((stuck(&app), app.findings()), (42, vec!["deadlock"]), "{workers} workers");
    }
}
