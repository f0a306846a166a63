//! A run on screen: the catalog that the picker shows, and runs as the screen asks for them.

use super::catalog::own_folder;
use super::exit::{Broken, Exit, tell};
use super::run::Plan;
use crate::app::{Launch, Launcher, Session};
use crate::control::{FeedChoice, Outcome};
use crate::lab::Listener;
use crate::session::LabSession;
use crate::settings::{Settings, ThemeChoice};
use crate::terminal::{self, Options, Start};
use crate::trace::{Nanos, Trace};
use crate::view::{Palette, Theme};
use crate::workload::manifest::{Manifest, ParamValue};
use crate::workload::own::listing;
use crate::workload::{Permissions, program_with};

/// Starts runs; what the form does not ask for is as the command line said.
struct Stage {
    catalog: Vec<Manifest>,
    settings: Settings,
    seed: u64,
    feed: FeedChoice,
    until: Option<Nanos>,
    permissions: Permissions,
    /// Where consoles from outside may look at what runs.
    listener: Option<Listener>,
}

impl Stage {
    fn plan(&self, launch: &Launch) -> Result<Plan, String> {
        let manifest = self.catalog.iter().find(|manifest| manifest.name == launch.name);
        let manifest = manifest.ok_or_else(|| format!("no workload is called `{}`", launch.name))?;
        Ok(Plan {
            params: values(manifest, &launch.values),
            manifest: manifest.clone(),
            seed: self.seed,
            clock: launch.clock.unwrap_or(manifest.clock),
            speed: launch.speed.unwrap_or(self.settings.speed),
            feed: self.feed,
            paused: launch.paused,
            until: self.until,
            permissions: self.permissions.clone(),
            memory_bytes: self.settings.memory_bytes,
            thresholds: self.settings.thresholds,
        })
    }
}

/// A value for each parameter: the one that was set, or its default.
fn values(manifest: &Manifest, set: &[(String, ParamValue)]) -> Vec<(String, ParamValue)> {
    let value = |name: &str| set.iter().find(|(set, _)| set == name).map(|(_, value)| value.clone());
    manifest
        .params
        .iter()
        .map(|param| (param.name.clone(), value(&param.name).unwrap_or_else(|| param.default.clone())))
        .collect()
}

impl Launcher for Stage {
    fn catalog(&self) -> &[Manifest] {
        &self.catalog
    }

    fn launch(&mut self, launch: &Launch) -> Result<Box<dyn Session>, String> {
        let plan = self.plan(launch)?;
        let program = program_with(&plan.manifest, plan.params.clone(), plan.permissions.clone())
            .map_err(|error| error.to_string())?;
        let trace = Trace::with_budget(plan.memory_bytes);
        let cannot = |error: std::io::Error| format!("the loop cannot be started: {error}");
        // The run before may still be served, and goes only once there is one to take its place.
        let listener = self.listener.as_ref().map(Listener::try_clone).transpose().map_err(cannot)?;
        let session =
            LabSession::start_served(&plan.manifest.name, program, plan.options(), trace, listener).map_err(cannot)?;
        Ok(Box::new(session.with_source(&plan.manifest.file, &plan.manifest.text)))
    }
}

/// Lets the person choose a workload and runs it on screen, until they leave.
pub(super) fn pick(settings: &Settings) -> anyhow::Result<Exit> {
    // A script that is broken would have no form to fill in; `loopscope workloads` says what is wrong with it.
    let catalog = listing(&own_folder()).workloads;
    let (feed, permissions) = (FeedChoice::default(), Permissions::default());
    let stage = Stage { catalog, settings: *settings, seed: 0, feed, until: None, listener: None, permissions };
    show(stage, Start::Picker, settings)
}

/// Runs the plan on screen until the person leaves.
pub(super) fn run(plan: Plan, listener: Option<Listener>, settings: &Settings) -> anyhow::Result<Exit> {
    let launch = Launch {
        name: plan.manifest.name.clone(),
        values: plan.params.clone(),
        speed: Some(plan.speed),
        clock: Some(plan.clock),
        paused: plan.paused,
    };
    let mut catalog = listing(&own_folder()).workloads;
    if !catalog.iter().any(|manifest| manifest.file == plan.manifest.file) {
        // A script of the person's own stands first, also where it has the name of one that is built in.
        catalog.retain(|manifest| manifest.name != plan.manifest.name);
        catalog.insert(0, plan.manifest.clone());
    }
    let Plan { seed, feed, until, permissions, .. } = plan;
    let stage = Stage { catalog, settings: *settings, seed, feed, until, permissions, listener };
    show(stage, Start::Launch(launch), settings)
}

/// Shows what is there already, until the person leaves.
pub(super) fn watch(sessions: Vec<Box<dyn Session>>, settings: &Settings) -> anyhow::Result<Exit> {
    let catalog = listing(&own_folder()).workloads;
    let stage = Stage {
        catalog,
        settings: *settings,
        seed: 0,
        feed: FeedChoice::default(),
        until: None,
        permissions: Permissions::default(),
        listener: None,
    };
    show(stage, Start::Sessions(sessions), settings)
}

fn show(mut stage: Stage, start: Start, settings: &Settings) -> anyhow::Result<Exit> {
    on(&mut stage, start, settings)
}

/// Shows what `launcher` starts until the person leaves.
pub(super) fn on(launcher: &mut dyn Launcher, start: Start, settings: &Settings) -> anyhow::Result<Exit> {
    let palette = match settings.theme {
        ThemeChoice::Ansi => Palette::Ansi16,
        ThemeChoice::Rgb => Palette::Rgb,
        ThemeChoice::Mono => Palette::Mono,
    };
    let theme = Theme { palette, ascii: settings.ascii };
    let left =
        terminal::run(launcher, start, Options { theme, mouse: settings.mouse, thresholds: settings.thresholds })
            .map_err(|error| {
                match error {
                    // What is wrong with the run is the fault of what was given; the rest is not.
                    terminal::Error::Launch(message) => anyhow::Error::msg(message),
                    other => Broken(other.to_string()).into(),
                }
            })?;
    if let Some(signal) = left.signal {
        return Ok(Exit::Signal(signal));
    }
    if let Some(why) = left.lost {
        return Err(Broken(format!("the terminal was lost: {why}")).into());
    }
    // Left behind on the screen it would be gone with it.
    let status = left.session.map(|session| session.status());
    match status.and_then(|status| Some((status.name, status.outcome?))) {
        Some((name, Outcome::Failed(error))) => {
            tell(&format!("{name} failed: {error}"));
            Ok(Exit::Failed)
        }
        _ => Ok(Exit::Success),
    }
}
