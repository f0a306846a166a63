//! The binary: parse, dispatch, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    if cfg!(not(tokio_unstable)) {
        // console-subscriber panics in such a build, in words that help nobody who only wanted to install a program.
        eprintln!(
            "loopscope: this build cannot see inside tokio, for it was compiled without `--cfg tokio_unstable`.\n\
             Build it again from its own folder, where .cargo/config.toml sets that, or with:\n\
             \n    RUSTFLAGS=\"--cfg tokio_unstable\" cargo install loopscope"
        );
        return ExitCode::from(2);
    }
    ExitCode::from(loopscope::cli::main(std::env::args_os()).code())
}
