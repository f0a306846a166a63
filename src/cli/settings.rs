//! `loopscope settings`: what is in force now, and where it is said; or the template to start a file from.

use super::exit::{Exit, to_stdout};
use crate::report::plain;
use crate::settings::{Settings, TEMPLATE, default_path, write_findings};

#[derive(Debug, clap::Args)]
pub(super) struct SettingsArguments {
    /// Print a settings file with every setting, its meaning and its default
    #[arg(long)]
    pub default: bool,
}

pub(super) fn template() -> anyhow::Result<Exit> {
    to_stdout(|out| out.write_all(TEMPLATE.as_bytes()))?;
    Ok(Exit::Success)
}

pub(super) fn in_force(settings: &Settings) -> anyhow::Result<Exit> {
    let named = std::env::var_os("LOOPSCOPE_SETTINGS").map(std::path::PathBuf::from);
    let whence = match named.or_else(default_path) {
        Some(path) if path.exists() => path.display().to_string(),
        Some(path) => format!("{} (not there)", path.display()),
        None => "none, for there is no home folder".to_owned(),
    };
    to_stdout(|out| {
        writeln!(out, "# In force for this command line and environment. File: {}", plain(&whence))?;
        writeln!(out, "theme = \"{}\"", settings.theme.name())?;
        writeln!(out, "ascii = {}", settings.ascii)?;
        writeln!(out, "mouse = {}", settings.mouse)?;
        writeln!(out, "speed = \"{}\"", settings.speed)?;
        writeln!(out, "memory = {}", settings.memory_bytes)?;
        write_findings(&settings.thresholds, out)
    })?;
    Ok(Exit::Success)
}
