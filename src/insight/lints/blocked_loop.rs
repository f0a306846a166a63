//! A blocked loop: one poll kept the loop for long with something other than computing.
//!
//! *Sees* a poll over the limit after everything is taken off that the program itself declares to be its own computing
//! (`work` in a script; code that declares nothing has declared no computing). That leaves calls that only wait, such as
//! a blocking sleep, a file or a lock of the operating system.
//! *Bad*, because nothing else on the loop runs meanwhile, though nobody uses the time.
//! *To do*: await instead of blocking, or move the call to the blocking pool. Computing that takes too long is another
//! matter: `never-yields`.

use super::super::case::Stretch;
use super::super::units::{how_many, human_ns};
use super::{Case, Lint, Severity, Sighting, each};
use crate::trace::{Nanos, State, Task};

pub const LINT: Lint = Lint {
    name: "blocked-loop",
    severity: Severity::Warn,
    advice: "await what it waits for, or move the call to the blocking pool",
    look: || each(of_task),
};

/// Tasks that are asked whether they were ready meanwhile.
const ASKED_MAX: usize = 1_000;

fn of_task(case: &Case, task: &Task) -> Option<Sighting> {
    let blocked = |poll: &Stretch| poll.blocked_ns() > case.limits.blocked_loop_ns;
    let (mut polls, mut calls, mut total_ns) = (0, 0, 0);
    let mut first: Option<Nanos> = None;
    let mut worst: Option<Stretch> = None;
    for poll in case.long_polls(task).filter(blocked) {
        first.get_or_insert(poll.from);
        polls += 1;
        calls += poll.blocking;
        total_ns += poll.blocked_ns();
        if worst.is_none_or(|worst| poll.blocked_ns() > worst.blocked_ns()) {
            worst = Some(poll);
        }
    }
    let worst = worst?;
    let call = match worst.longest {
        Some(call) => {
            let (place, longest) = (case.place(&call), human_ns(case.length_ns(&call)));
            format!("{}, the longest {longest}: {place}", how_many(calls, "blocking call"))
        }
        None => "no call in it says what it did".to_owned(),
    };
    let ready = ready_meanwhile(case, task, &worst);
    Some(Sighting {
        task: Some(task.id),
        at_ns: first?,
        seen: format!("{} kept the loop for {} in one poll", task.name(), human_ns(worst.blocked_ns())),
        evidence: format!(
            "{} over {} at {} and after, {} in all; {call}; {} ready meanwhile",
            how_many(polls, "poll"),
            human_ns(case.limits.blocked_loop_ns),
            human_ns(first?),
            human_ns(total_ns),
            how_many(ready, "other task"),
        ),
    })
}

/// How many others could have run at the end of the worst poll; of very many tasks only the first are asked.
fn ready_meanwhile(case: &Case, task: &Task, worst: &Stretch) -> u64 {
    let ready = |other: &&Task| {
        other.id != task.id && case.trace.state_at(other.id, worst.to.saturating_sub(1)) == Some(State::Scheduled)
    };
    case.trace.tasks().iter().take(ASKED_MAX).filter(ready).count() as u64
}
