//! One session on screen that is not a workload's: there is nothing to choose from.

use super::exit::Exit;
use super::screen;
use crate::app::{Launch, Launcher, Session};
use crate::settings::Settings;
use crate::terminal::Start;
use crate::workload::manifest::Manifest;

/// Starts the same thing whenever it is asked.
struct Single<F>(F);

impl<F: FnMut() -> Result<Box<dyn Session>, String>> Launcher for Single<F> {
    fn catalog(&self) -> &[Manifest] {
        &[]
    }

    fn launch(&mut self, _: &Launch) -> Result<Box<dyn Session>, String> {
        (self.0)()
    }
}

/// Shows what `start` starts, to be known as `name`, until the person leaves.
pub(super) fn show(
    name: &str,
    start: impl FnMut() -> Result<Box<dyn Session>, String>,
    settings: &Settings,
) -> anyhow::Result<Exit> {
    screen::on(&mut Single(start), Start::Launch(Launch::of(name)), settings)
}
