//! The command `doctor`: diagnoses why an app shows no tasks, with a cause and a remedy for each problem.

use std::io::Write;
use std::time::{Duration, Instant};

use super::exit::{CliExit, OperationError, to_stdout};
use crate::feed::console_health::{ConsoleHealth, HealthCheck, HealthLevel};
use crate::feed::wire::{ConsoleAddress, ConsoleConnection, DEFAULT_ADDRESS};
use crate::lab::untraced_dispatch;
use crate::sanitize::sanitize;

/// Minimum number of updates to receive: the full one, its repetition, and one with changes.
const UPDATES_MIN: usize = 3;

/// Minimum time to receive updates, so that infrequent events are included.
const LISTEN_TIME_MIN: Duration = Duration::from_secs(1);

/// Maximum time to receive updates.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(5);

const EXAMPLES: &str = "\
Examples:
  loopscope doctor
  loopscope doctor http://127.0.0.1:7000
  loopscope doctor unix:/tmp/app.sock

Exit codes: 0 data is available, 1 no data is available.";

/// Arguments of `loopscope doctor`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct DoctorArgs {
    /// Address of the app's console
    ///
    /// Forms of an address: http://HOST:PORT, HOST:PORT, PORT or unix:PATH.
    #[arg(value_name = "ADDR", default_value = DEFAULT_ADDRESS)]
    address: ConsoleAddress,
}

/// Examines the console at the address and prints the diagnosis.
pub(super) fn doctor(args: &DoctorArgs) -> anyhow::Result<CliExit> {
    let lines = tracing::dispatcher::with_default(&untraced_dispatch(), || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map(|runtime| runtime.block_on(examine(&args.address)))
    });
    let lines = lines.map_err(|error| OperationError(format!("cannot create a runtime: {error}")))?;
    to_stdout(|out| {
        writeln!(out, "{}", sanitize(&args.address.to_string()))?;
        lines.iter().try_for_each(|line| write_line(line, out))
    })?;
    let has_failed = lines.iter().any(|line| line.level == HealthLevel::Error);
    Ok(if has_failed { CliExit::Failed } else { CliExit::Success })
}

fn write_line(line: &HealthCheck, out: &mut dyn Write) -> std::io::Result<()> {
    let level = match line.level {
        HealthLevel::Ok => "ok",
        HealthLevel::Warning => "warning",
        HealthLevel::Error => "ERROR",
    };
    writeln!(out, "  {level:<7}  {}", sanitize(&line.cause))?;
    if line.remedy.is_empty() { Ok(()) } else { writeln!(out, "           help: {}", sanitize(&line.remedy)) }
}

/// Connects to the console and checks its updates.
async fn examine(address: &ConsoleAddress) -> Vec<HealthCheck> {
    let connection = match ConsoleConnection::open(address).await {
        Ok(connection) => connection,
        Err(reason) => return vec![HealthCheck::error(reason.to_string(), HELP_NOT_LISTENING)],
    };
    let mut lines = vec![HealthCheck::ok("a server listens at this address")];
    let mut messages = match connection.messages_or_timeout().await {
        Ok(messages) => messages,
        Err(reason) => {
            lines.push(HealthCheck::error(reason.to_string(), HELP_OTHER_PROGRAM));
            return lines;
        }
    };
    let mut health = ConsoleHealth::default();
    let collect = async {
        let started = Instant::now();
        let mut received = 0;
        while received < UPDATES_MIN || started.elapsed() < LISTEN_TIME_MIN {
            received += 1;
            match messages.next().await {
                Ok(Some(message)) => health.observe(message),
                Ok(None) => return Some("it closed the connection".to_owned()),
                Err(status) => return Some(connection.explain(&status).to_string()),
            }
        }
        None
    };
    let failure = tokio::time::timeout(LISTEN_TIMEOUT, collect).await.unwrap_or_default();
    match failure {
        Some(reason) => lines.push(HealthCheck::error(reason, HELP_DISCONNECTED)),
        None => lines.extend(health.diagnose()),
    }
    lines
}

/// Help if nothing listens at the address.
const HELP_NOT_LISTENING: &str = "start the app with console_subscriber::init() as the first call in main; \
                                  TOKIO_CONSOLE_BIND sets its address (default 127.0.0.1:6669); or start it with \
                                  `loopscope exec -- COMMAND`";

/// Help if the app disconnected.
const HELP_DISCONNECTED: &str = "check whether the app still runs, and what it wrote to standard error";

/// Help if another program listens at the address.
const HELP_OTHER_PROGRAM: &str = "another program uses this address: set TOKIO_CONSOLE_BIND=127.0.0.1:PORT for the \
                                  app, and use the same address here";
