//! The `loopscope` binary. It runs [`loopscope::run_command_line`] and returns its exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    if cfg!(not(tokio_unstable)) {
        // console-subscriber would panic in such a build, with a message that does not help to install loopscope.
        eprintln!(
            "loopscope: built without `--cfg tokio_unstable`, so tokio's instrumentation is missing\n\
             help: in the repository, .cargo/config.toml sets the flag unless RUSTFLAGS is set; to set it yourself, run:\n\
             \n    RUSTFLAGS=\"--cfg tokio_unstable\" cargo install --path ."
        );
        return ExitCode::from(2);
    }
    ExitCode::from(loopscope::run_command_line(std::env::args_os()).code())
}
