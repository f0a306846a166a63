//! Python programs that `exec` starts: the module on their path, and output that their module reports with its task.

use std::time::SystemTime;

use loopscope_probe::protocol::{FrameKind, Hello, Output};
use loopscope_probe::record::RecordKind::*;
use serde_json::Value;

use crate::cli::{CommandOutput, loopscope, loopscope_with_env};
use crate::example_app::TempFolder;
use crate::probe_stream::{ProbeStreamBuilder, asyncio_hello};

const NONE: &[u64] = &[];

/// Sends a prepared stream as if it were the module, and prints: before it connects, what the stream reports too, and what
/// only the pipe has.
const PROGRAM: &str = "
import os, socket, sys
print('early', flush=True)
probe = socket.socket(socket.AF_UNIX)
probe.connect(os.environ['LOOPSCOPE_PROBE_SOCKET'])
probe.sendall(open(sys.argv[1], 'rb').read())
probe.recv(1)
print('one', flush=True)
print('one', flush=True)
os.write(1, b'silent\\n')
print('bad', file=sys.stderr, flush=True)
";

fn has_python() -> bool {
    let found = std::process::Command::new("python3").arg("--version").output().is_ok();
    if !found {
        println!("SKIPPED: there is no python3");
    }
    found
}

/// Returns the output in a report: the task and the text of each line.
fn output_of(ran: &CommandOutput) -> Vec<(Option<u64>, String)> {
    let report: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("a report: {}", ran.stderr));
    let lines = report["output"].as_array().expect("a list").iter();
    lines.map(|line| (line["task"].as_u64(), line["text"].as_str().expect("text").to_owned())).collect()
}

#[test]
fn ignored_module_is_explained() {
    let ran = loopscope(&["exec", "--headless", "--json", "--", "python3", "-uI", "-c", "pass"]);
    let first = ran.stderr.lines().next().unwrap_or_default();
    assert!(first.contains("asyncio is not observed") && first.ends_with("option -I"), "{}", ran.stderr);
    if has_python() {
        let ran = loopscope(&["exec", "--headless", "--json", "--", "python3", "-c", "pass"]);
        assert!(ran.stderr.contains("no asyncio: the program ran no event loop"), "{}", ran.stderr);
    }
}

/// A loop may write faster than its records are sent, while another thread takes them.
#[test]
fn records_are_whole_or_counted_as_dropped() {
    if has_python() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let ran = std::process::Command::new("python3")
            .arg(root.join("tests/python/buffers.py"))
            .env("PYTHONPATH", root.join("python"))
            .output()
            .expect("run python3");
        assert_eq!(
            String::from_utf8_lossy(&ran.stdout),
            "all some dropped\n",
            "{}",
            String::from_utf8_lossy(&ran.stderr)
        );
    }
}

#[test]
fn path_of_the_user_follows_the_module() {
    let command = ["exec", "--headless", "--json", "--", "sh", "-c", "echo \"$PYTHONPATH\""];
    let lines = output_of(&loopscope_with_env(&command, &[("PYTHONPATH", "/mine:/yours")]));
    assert!(lines.len() == 1 && lines[0].1.ends_with("/python:/mine:/yours"), "{lines:?}");
}

#[test]
fn shadowed_customization_still_runs() {
    if !has_python() {
        return;
    }
    let folder = TempFolder::new("shadowed-customization");
    let file = folder.path_of("sitecustomize.py");
    std::fs::write(&file, "print('shadowed', __name__)").expect("a writable folder");
    let path = file.parent().expect("a folder").display().to_string();
    let command = ["exec", "--headless", "--json", "--", "python3", "-c", "print('main')"];
    let lines = output_of(&loopscope_with_env(&command, &[("PYTHONPATH", &path)]));
    let texts: Vec<_> = lines.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(texts, ["shadowed sitecustomize", "main"]);
}

#[test]
fn reported_lines_appear_once() {
    if !has_python() {
        return;
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock");
    let base_unix_ns = u64::try_from(now.as_nanos()).expect("this century");
    let output = |ticks, is_error, text: &str| Output { ticks, task: 1, is_error, text: text.to_owned() };
    let stream = ProbeStreamBuilder::of(&Hello { base_unix_ns, ..asyncio_hello() })
        .end_snapshot()
        .python_site(1, ("task", "main"), &[("main", 1)])
        .records(1, &[(Spawn, 10, 1, &[1]), (PollStart, 20, 1, NONE), (PollEnd, 90, 1, NONE)])
        .json(FrameKind::Output, &output(30, false, "one"))
        .json(FrameKind::Output, &output(31, false, "one"))
        .json(FrameKind::Output, &output(32, true, "bad"))
        .round(1_000)
        .bye();
    let folder = TempFolder::new("reported-lines");
    let (program, bytes) = (folder.path_of("program.py"), folder.path_of("stream"));
    std::fs::write(&program, PROGRAM).expect("a writable folder");
    std::fs::write(&bytes, stream.bytes()).expect("a writable folder");
    let [program, bytes] = [program, bytes].map(|path| path.display().to_string());
    let ran = loopscope(&["exec", "--headless", "--json", "--", "python3", &program, &bytes]);
    let mut lines = output_of(&ran);
    lines.sort();
    let expected = [(None, "early"), (None, "silent"), (Some(1), "! bad"), (Some(1), "one"), (Some(1), "one")];
    assert_eq!(lines, expected.map(|(task, text)| (task, text.to_owned())), "{}", ran.stderr);
    assert!(ran.stderr.contains("CPython 3.11.7"), "{}", ran.stderr);
}
