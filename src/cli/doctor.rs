//! The command `doctor`: diagnoses why an app shows no tasks or incomplete data, with a cause and a remedy for each
//! problem.

use std::io::Write;
use std::time::{Duration, Instant};

use loopscope_probe::protocol::Hello;

use super::attach_target::{AttachTarget, SecretArgs};
use super::exit::{CliExit, OperationError, to_stdout};
use crate::control::{FeedChoice, measured_cost};
use crate::feed::console_health::{ConsoleHealth, HealthCheck, HealthLevel};
use crate::feed::wire::{ConsoleAddress, ConsoleConnection, DEFAULT_ADDRESS};
use crate::insight::units::pluralize;
use crate::lab::untraced_dispatch;
use crate::sanitize::sanitize;
use crate::session::{ProbedProcess, missing_facts, probed_processes, read_hello};

/// Minimum number of updates to receive: the full one, its repetition, and one with changes.
const UPDATES_MIN: usize = 3;

/// Minimum time to receive updates, so that infrequent events are included.
const LISTEN_TIME_MIN: Duration = Duration::from_secs(1);

/// Maximum time to receive updates.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(5);

const EXAMPLES: &str = "\
Examples:
  loopscope doctor                            the running apps
  loopscope doctor pid:1234
  loopscope doctor probe://127.0.0.1:7700 --secret-file secret.txt
  loopscope doctor http://127.0.0.1:7000
  loopscope doctor unix:/tmp/app.sock

Exit codes: 0 data is available, 1 no data is available.";

/// Arguments of `loopscope doctor`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct DoctorArgs {
    /// App to diagnose [default: the running apps]
    ///
    /// By default the running apps that have the probe, else http://127.0.0.1:6669.
    ///
    /// pid:PID is the probe of a process, and probe://HOST:PORT the TCP port of a probe. An app's console is
    /// http://HOST:PORT, HOST:PORT, PORT or unix:PATH.
    #[arg(value_name = "ADDR")]
    address: Option<AttachTarget>,
    #[command(flatten)]
    secret: SecretArgs,
}

/// Examines the app, or all apps with the probe, and prints the diagnosis.
pub(super) fn doctor(args: &DoctorArgs) -> anyhow::Result<CliExit> {
    let found = || probed_processes().map_err(|error| OperationError(error.to_string()));
    let diagnoses = match &args.address {
        Some(AttachTarget::Console(address)) => vec![diagnose_console(address)?],
        Some(AttachTarget::Process(pid)) => {
            let found = found()?.into_iter().find(|process| process.pid == *pid);
            vec![found.as_ref().map_or_else(|| unknown_process(*pid), diagnose_process)]
        }
        Some(target @ AttachTarget::Probe(_)) => vec![diagnose_tcp(target, &args.secret)?],
        None => match found()?.as_slice() {
            [] => vec![diagnose_console(&DEFAULT_ADDRESS.parse()?)?],
            found => found.iter().map(diagnose_process).collect(),
        },
    };
    to_stdout(|out| {
        diagnoses.iter().try_for_each(|(name, lines)| {
            writeln!(out, "{}", sanitize(name))?;
            lines.iter().try_for_each(|line| write_line(line, out))
        })
    })?;
    let mut lines = diagnoses.iter().flat_map(|(_, lines)| lines);
    let has_failed = lines.any(|line| line.level == HealthLevel::Error);
    Ok(if has_failed { CliExit::Failed } else { CliExit::Success })
}

/// What was examined, and its diagnosis.
type Diagnosis = (String, Vec<HealthCheck>);

/// Examines a console.
fn diagnose_console(address: &ConsoleAddress) -> anyhow::Result<Diagnosis> {
    let lines = tracing::dispatcher::with_default(&untraced_dispatch(), || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map(|runtime| runtime.block_on(examine(address)))
    });
    let lines = lines.map_err(|error| OperationError(format!("cannot create a runtime: {error}")))?;
    Ok((address.to_string(), lines))
}

fn diagnose_process(process: &ProbedProcess) -> Diagnosis {
    diagnose_probe(format!("pid:{} {}", process.pid, process.name()), &process.hello)
}

/// Examines an app with the probe over TCP.
fn diagnose_tcp(target: &AttachTarget, secret: &SecretArgs) -> anyhow::Result<Diagnosis> {
    let socket = target.connect_to_probe(secret)?;
    let hello = read_hello(&socket, Instant::now() + LISTEN_TIMEOUT);
    Ok(diagnose_probe(target.to_string(), &hello))
}

/// Examines an app with the probe by what it says about itself.
fn diagnose_probe(name: String, hello: &Result<Box<Hello>, String>) -> Diagnosis {
    let hello = match hello {
        Ok(hello) => hello,
        Err(reason) => return (name, vec![HealthCheck::error(reason.clone(), HELP_SILENT_PROBE)]),
    };
    let has_tasks = pluralize(hello.tasks, "task");
    let mut lines = vec![HealthCheck::ok(format!("the app has the probe {}, and {has_tasks}", hello.probe))];
    lines.push(HealthCheck::ok(format!("while attached, {}", measured_cost(FeedChoice::Probe))));
    for (cause, remedy) in missing_facts(hello.facts) {
        let level = if hello.facts.polls { HealthLevel::Warning } else { HealthLevel::Error };
        lines.push(HealthCheck { level, cause: cause.to_owned(), remedy: remedy.to_owned() });
    }
    if !hello.allows_control {
        lines.push(HealthCheck::ok("it does not permit control: loopscope_probe::init().allow_control() permits it"));
    }
    (name, lines)
}

fn unknown_process(pid: u32) -> Diagnosis {
    let cause = "no socket of a probe belongs to this process".to_owned();
    (format!("pid:{pid}"), vec![HealthCheck::error(cause, HELP_NO_PROBE)])
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
    lines.push(HealthCheck::ok(measured_cost(FeedChoice::Console)));
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

/// Help if a process has no probe.
const HELP_NO_PROBE: &str = "call loopscope_probe::init() first in main, and start the app as this user; if it uses \
                             console-subscriber, name the address of its console instead";

/// Help if an app with the probe does not describe itself.
const HELP_SILENT_PROBE: &str = "check whether the app is stopped, and whether it uses a loopscope-probe of the same \
                                 release";

/// Help if the app disconnected.
const HELP_DISCONNECTED: &str = "check whether the app still runs, and what it wrote to standard error";

/// Help if another program listens at the address.
const HELP_OTHER_PROGRAM: &str = "another program uses this address: set TOKIO_CONSOLE_BIND=127.0.0.1:PORT for the \
                                  app, and use the same address here";
