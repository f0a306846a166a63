//! The command `settings`: prints the effective settings, or the template of a settings file.

use super::exit::{CliExit, to_stdout};
use crate::sanitize::sanitize;
use crate::settings::{Settings, default_path, template, write_settings};

/// Arguments of `loopscope settings`.
#[derive(Debug, clap::Args)]
pub(super) struct SettingsArgs {
    /// Print a settings file with all settings at their defaults
    #[arg(long)]
    pub default: bool,
}

/// Prints the settings template.
pub(super) fn print_template() -> anyhow::Result<CliExit> {
    to_stdout(|out| out.write_all(template().as_bytes()))?;
    Ok(CliExit::Success)
}

/// Prints the effective settings in the format of a settings file.
pub(super) fn print_effective(settings: &Settings) -> anyhow::Result<CliExit> {
    let named = std::env::var_os("LOOPSCOPE_SETTINGS").map(std::path::PathBuf::from);
    let location = match named.or_else(default_path) {
        Some(path) if path.exists() => path.display().to_string(),
        Some(path) => format!("{} (does not exist)", path.display()),
        None => "none (no home folder)".to_owned(),
    };
    to_stdout(|out| {
        writeln!(out, "# Effective settings for this command line and environment. File: {}", sanitize(&location))?;
        write_settings(settings, out)
    })?;
    Ok(CliExit::Success)
}
