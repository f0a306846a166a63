//! Attaching to a program with the probe over TCP.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::example_app::{TempFolder, example_path};
use crate::pty::PtyTerminal;

const SECRET: &str = "correct horse battery";

/// A program that listens on TCP. It is killed on drop.
struct TcpApp {
    child: Child,
    address: String,
    folder: TempFolder,
}

impl Drop for TcpApp {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl TcpApp {
    fn start(name: &str) -> Self {
        let folder = TempFolder::new(name);
        std::fs::write(folder.path_of("secret"), format!("{SECRET}\n")).expect("a file");
        let mut child = Command::new(example_path("probed"))
            .args(["serve", "2", "hooks"])
            .env("XDG_RUNTIME_DIR", &folder.0)
            .env("PROBED_RECORDER", "1")
            .env("LOOPSCOPE_PROBE_TCP", "127.0.0.1:0")
            .env("LOOPSCOPE_PROBE_TCP_SECRET_FILE", folder.path_of("secret"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("the app starts");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines().map_while(Result::ok);
        let line = lines.next().expect("its address");
        let address = format!("probe://{}", line.strip_prefix("tcp ").expect("its address"));
        assert_eq!(lines.next().as_deref(), Some("serving"));
        Self { child, address, folder }
    }

    fn secret_file(&self) -> String {
        self.folder.path_of("secret").display().to_string()
    }

    /// Runs loopscope, which finds no socket, with these variables. Returns its exit code and both outputs.
    fn loopscope(&self, arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_loopscope"))
            .args(arguments)
            .env("XDG_RUNTIME_DIR", self.folder.path_of("other"))
            .envs(variables.iter().copied())
            .output()
            .expect("loopscope runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (output.status.code(), text(output.stdout), text(output.stderr))
    }
}

#[test]
fn attach_over_tcp_shows_every_poll() {
    let app = TcpApp::start("tcp-attach");
    let arguments = ["attach", &app.address, "--for", "1s", "--headless", "--json"];
    let file = app.secret_file();
    let ways = [
        (&["--secret-file", &file][..], &[][..]),
        (&[], &[("LOOPSCOPE_PROBE_TCP_SECRET_FILE", file.as_str())]),
        (&[], &[("LOOPSCOPE_PROBE_TCP_SECRET", SECRET)]),
    ];
    for (further, variables) in ways {
        let (code, report, errors) = app.loopscope(&[&arguments[..], further].concat(), variables);
        assert_eq!(code, Some(0), "{errors}");
        let report: Value = serde_json::from_str(&report).expect("JSON");
        assert_eq!(
            (&report["source"]["name"], &report["source"]["kind"]),
            (&app.address.as_str().into(), &"attach".into())
        );
        assert_eq!(report["fidelity_by"]["polls"], "exact");
        assert!(report["loop"]["polls"].as_u64() > Some(100), "{}", report["loop"]);
    }
}

#[test]
fn attach_over_tcp_needs_the_secret() {
    let app = TcpApp::start("tcp-secret");
    let attach = |further: &[&str], variables: &[(&str, &str)]| {
        let arguments = ["attach", &app.address, "--for", "1s", "--headless", "--json"];
        app.loopscope(&[&arguments[..], further].concat(), variables)
    };
    let (code, report, errors) = attach(&[], &[]);
    assert_eq!((code, report.as_str()), (Some(2), ""));
    assert!(errors.contains("missing secret") && errors.contains("--secret-file"), "{errors}");
    let (code, report, errors) = attach(&[], &[("LOOPSCOPE_PROBE_TCP_SECRET", "correct horse batterz")]);
    assert_eq!((code, report.as_str()), (Some(1), ""));
    assert!(errors.contains("the secret is wrong") && errors.contains(&app.address), "{errors}");
    assert!(!errors.contains("horse"), "{errors}");
    let (code, _, errors) = attach(&[], &[("LOOPSCOPE_PROBE_TCP_SECRET", "short")]);
    assert!(code == Some(2) && errors.contains("5 bytes"), "{errors}");
    let (code, _, errors) = attach(&["--secret-file", "/nonexistent"], &[]);
    assert!(code == Some(2) && errors.contains("cannot read the secret from `/nonexistent`"), "{errors}");
    let with_secret = app.address.replace("probe://", "probe://secret@");
    let (code, _, errors) = app.loopscope(&["attach", &with_secret, "--headless"], &[]);
    assert!(code == Some(2) && errors.contains("invalid address of a probe"), "{errors}");
    // Its Unix socket is a different matter.
    let (code, _, errors) = app.loopscope(&["attach", "pid:1", "--for", "1s", "--headless"], &[]);
    assert!(code == Some(1) && errors.contains("cannot be attached to"), "{errors}");
}

#[test]
fn doctor_and_dump_work_over_tcp() {
    let app = TcpApp::start("tcp-doctor");
    let secret = app.secret_file();
    let (code, diagnosis, errors) = app.loopscope(&["doctor", &app.address, "--secret-file", &secret], &[]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(diagnosis.starts_with(&app.address) && diagnosis.contains("the app has the probe"), "{diagnosis}");
    let (code, diagnosis, errors) = app.loopscope(&["doctor", &app.address], &[]);
    assert_eq!((code, diagnosis.as_str()), (Some(2), ""));
    assert!(errors.contains("missing secret"), "{errors}");
    let file = app.folder.path_of("saved.lsprobe").display().to_string();
    let arguments = ["attach", &app.address, "--dump", &file, "--secret-file", &secret];
    let (code, _, errors) = app.loopscope(&arguments, &[]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(Path::new(&file).exists());
    let (code, _, errors) = app.loopscope(&["open", &file, "--headless", "--assert", "tasks.length > 5"], &[]);
    assert_eq!(code, Some(0), "{errors}");
}

/// Attaches by the prompt of the screen, with this secret, and waits for a text.
fn attach_by_prompt(address: &str, secret: &str, expected: &str) -> PtyTerminal {
    let variables = [("LOOPSCOPE_PROBE_TCP_SECRET", secret)];
    let mut terminal = PtyTerminal::start_with(env!("CARGO_BIN_EXE_loopscope"), &[], &variables, 120, 40);
    terminal.wait_for_text("choose a workload");
    terminal.press("A");
    terminal.wait_for_text("probe://HOST:PORT");
    terminal.press("\x15");
    terminal.press(&format!("{address}\r"));
    terminal.wait_for_text(expected);
    terminal
}

#[test]
fn prompt_attaches_over_tcp() {
    let app = TcpApp::start("tcp-prompt");
    // Another program, which says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent_address = format!("probe://{}", silent.local_addr().expect("an address"));
    for (address, secret, expected) in [
        (app.address.as_str(), SECRET, " LIVE "),
        (&app.address, "another secret, as long", "the secret is wrong"),
        (&app.address, "short", "the secret has 5 bytes"),
        (&silent_address, SECRET, "CONNECTING"),
    ] {
        let mut terminal = attach_by_prompt(address, secret, expected);
        // A prompt takes characters as text.
        terminal.press(if expected.contains("5 bytes") { "\x03" } else { "q" });
        let code = terminal.wait_for_exit();
        assert_eq!(code, u32::from(expected.contains("wrong")), "{address} {secret}");
        terminal.assert_restored();
    }
}
