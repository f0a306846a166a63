#!/usr/bin/env bash
# crossterm 0.29.0 on Linux: of a key and a resize that arrive together, only one is returned.
#
# Likely guess: `read` returns every event that has arrived, one after the other, and blocks only if there is none.
# Seen: the program is stopped, its terminal is resized, a key is pressed, and the program continues. `read` returns the key,
# and then blocks although the resize has arrived. The next key does not bring it either. With the feature `use-dev-tty`,
# which waits for input in another way, both are returned at once.
# Needs python3, for a terminal. Fails if the behaviour changes. Set CARGO_TARGET_DIR to share the build between runs.
set -euo pipefail

command -v python3 >/dev/null || { echo "skipped: python3 is not installed"; exit 0; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat > Cargo.toml <<'TOML'
[package]
name = "key-and-resize"
version = "0.0.0"
edition = "2021"

[features]
other-way = ["crossterm/use-dev-tty"]

[dependencies]
crossterm = "=0.29.0"
TOML
cat > src/main.rs <<'RUST'
use crossterm::event::{read, Event, KeyCode};

fn main() {
    crossterm::terminal::enable_raw_mode().unwrap();
    // The first call prepares for signals.
    crossterm::event::poll(std::time::Duration::ZERO).unwrap();
    print!("ready\r\n");
    loop {
        match read().unwrap() {
            Event::Resize(..) => print!("resize\r\n"),
            Event::Key(key) if key.code == KeyCode::Char('q') => break,
            Event::Key(key) => print!("key {}\r\n", key.code),
            _ => {}
        }
    }
    crossterm::terminal::disable_raw_mode().unwrap();
    print!("end\r\n");
}
RUST
cat > terminal.py <<'PYTHON'
import fcntl, os, pty, select, signal, struct, sys, termios

pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
output = b""

def read_for(seconds, until=None):
    """Reads until the text has arrived, or nothing has arrived for so long."""
    global output
    while (until is None or until not in output) and select.select([terminal], [], [], seconds)[0]:
        try:
            output += os.read(terminal, 4096)
        except OSError:
            return

read_for(30, b"ready")
os.kill(pid, signal.SIGSTOP)
os.waitpid(pid, os.WUNTRACED)
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 90, 0, 0))
os.write(terminal, b"a")
os.kill(pid, signal.SIGCONT)
read_for(30, b"key a")
read_for(2)
first = output.split(b"\r\n")[1:-1]
os.write(terminal, b"b")
read_for(30, b"key b")
read_for(2)
second = output.split(b"\r\n")[1 + len(first):-1]
os.write(terminal, b"q")
read_for(30, b"end")
print(b", ".join(sorted(first)).decode(), "|", b", ".join(sorted(second)).decode())
PYTHON
target=${CARGO_TARGET_DIR:-$folder/target}
export CARGO_TARGET_DIR=$target
cargo build --quiet
default=$(python3 terminal.py "$target/debug/key-and-resize")
cargo build --quiet --features other-way
other=$(python3 terminal.py "$target/debug/key-and-resize")
echo "by default:       $default"
echo "with use-dev-tty: $other"
[ "$default" = "key a | key b" ]
[ "$other" = "key a, resize | key b" ]
