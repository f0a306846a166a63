//! `loopscope doctor`: why does one see nothing? Each thing that is found with one line of cause and one of cure.

use std::io::Write;
use std::time::{Duration, Instant};

use super::exit::{Broken, Exit, to_stdout};
use crate::feed::examination::{Facts, Line, Verdict};
use crate::feed::wire::{Address, Connection, DEFAULT_ADDRESS};
use crate::lab::uninstrumented;
use crate::report::plain;

/// Updates that are listened to at least: a first full one, the one that repeats it, and one of what is new.
const UPDATES_MIN: usize = 3;

/// How long is listened at least: what happens now and then has to have happened.
const LISTENED: Duration = Duration::from_secs(1);

/// How long they may take to come.
const PATIENCE: Duration = Duration::from_secs(5);

const EXAMPLES: &str = "\
Examples:
  loopscope doctor
  loopscope doctor http://127.0.0.1:7000
  loopscope doctor unix:/tmp/app.sock

Exit code: 0 where there is something to see, 1 where there is nothing.";

/// What was typed after `doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct DoctorArguments {
    /// Where the app should listen: http://HOST:PORT or unix:PATH
    #[arg(value_name = "ADDR", default_value = DEFAULT_ADDRESS)]
    address: Address,
}

/// Examines the address and tells what was found.
pub(super) fn doctor(arguments: &DoctorArguments) -> anyhow::Result<Exit> {
    let lines = tracing::dispatcher::with_default(&uninstrumented(), || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map(|runtime| runtime.block_on(examine(&arguments.address)))
    });
    let lines = lines.map_err(|error| Broken(format!("the network cannot be used: {error}")))?;
    to_stdout(|out| {
        writeln!(out, "{}", plain(&arguments.address.to_string()))?;
        lines.iter().try_for_each(|line| write_line(line, out))
    })?;
    let is_hopeless = lines.iter().any(|line| line.verdict == Verdict::Wrong);
    Ok(if is_hopeless { Exit::Failed } else { Exit::Success })
}

fn write_line(line: &Line, out: &mut dyn Write) -> std::io::Result<()> {
    let verdict = match line.verdict {
        Verdict::Fine => "fine",
        Verdict::Odd => "odd",
        Verdict::Wrong => "WRONG",
    };
    writeln!(out, "  {verdict:<5}  {}", plain(&line.cause))?;
    if line.cure.is_empty() { Ok(()) } else { writeln!(out, "         → {}", plain(&line.cure)) }
}

async fn examine(address: &Address) -> Vec<Line> {
    let connection = match Connection::open(address).await {
        Ok(connection) => connection,
        Err(why) => return vec![Line::wrong(why.to_string(), NOT_THERE)],
    };
    let mut lines = vec![Line::fine("something listens there")];
    let mut messages = match connection.messages_soon().await {
        Ok(messages) => messages,
        Err(why) => {
            lines.push(Line::wrong(why.to_string(), OTHER));
            return lines;
        }
    };
    let mut facts = Facts::default();
    let listening = async {
        let begun = Instant::now();
        let mut heard = 0;
        while heard < UPDATES_MIN || begun.elapsed() < LISTENED {
            heard += 1;
            match messages.next().await {
                Ok(Some(message)) => facts.learn(message),
                Ok(None) => return Some("it closed the connection".to_owned()),
                Err(status) => return Some(connection.lost(&status).to_string()),
            }
        }
        None
    };
    let broken = tokio::time::timeout(PATIENCE, listening).await.unwrap_or_default();
    match broken {
        Some(why) => lines.push(Line::wrong(why, GONE)),
        None => lines.extend(facts.diagnose()),
    }
    lines
}

/// The cure where nobody is.
const NOT_THERE: &str = "start the app, with console_subscriber::init() first thing in main; where it listens is \
                         TOKIO_CONSOLE_BIND (127.0.0.1:6669 unless set); or let loopscope start it: \
                         loopscope exec -- COMMAND";

/// The cure where somebody was and went.
const GONE: &str = "see whether the app still runs, and what it says on its own standard error";

/// The cure where somebody else is.
const OTHER: &str = "another program has this address: give the app one of its own with TOKIO_CONSOLE_BIND=127.0.0.1:PORT, \
                     and that same one here";
