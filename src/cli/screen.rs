//! A run on screen: the catalog that the picker shows, and runs as the screen asks for them.

use std::path::{Path, PathBuf};

use super::attach;
use super::catalog::own_folder;
use super::exit::{Broken, Exit, tell};
use super::record::{self, Records};
use super::run::Plan;
use crate::app::{Launch, Launcher, Session};
use crate::control::{FeedChoice, Outcome, SourceKind};
use crate::feed::wire::Address;
use crate::lab::Listener;
use crate::report::{Source, human_ns};
use crate::session::{self, ArchiveFile, AttachSession, LabSession};
use crate::settings::{Settings, ThemeChoice};
use crate::terminal::{self, Options, Start};
use crate::trace::{Nanos, Trace};
use crate::view::{Palette, Theme};
use crate::workload::manifest::{Manifest, ParamValue};
use crate::workload::own::{Listing, listing};
use crate::workload::{Permissions, catalog, params, program_with};

/// Starts runs; what the form does not ask for is as the command line said.
struct Stage {
    catalog: Vec<Manifest>,
    /// What could not be read for it.
    broken: usize,
    settings: Settings,
    seed: u64,
    feed: FeedChoice,
    until: Option<Nanos>,
    permissions: Permissions,
    /// Where what is watched is written to.
    records: Records,
    /// Where consoles from outside may look at what runs.
    listener: Option<Listener>,
}

impl Stage {
    fn new(catalog: Vec<Manifest>, settings: &Settings) -> Self {
        Self {
            catalog,
            broken: 0,
            settings: *settings,
            seed: 0,
            feed: FeedChoice::default(),
            until: None,
            permissions: Permissions::default(),
            records: Records::default(),
            listener: None,
        }
    }

    fn named(&mut self, name: &str) -> Result<&mut Manifest, String> {
        let named = self.catalog.iter_mut().find(|manifest| manifest.name == name);
        named.ok_or_else(|| format!("no workload is called `{name}`"))
    }

    fn plan(&mut self, launch: &Launch) -> Result<Plan, String> {
        let manifest = self.named(&launch.name)?.clone();
        let clock = manifest.clock;
        Ok(Plan {
            params: values(&manifest, &launch.values)?,
            manifest,
            seed: self.seed,
            clock: launch.clock.unwrap_or(clock),
            speed: launch.speed.unwrap_or(self.settings.speed),
            feed: self.feed,
            paused: launch.paused,
            until: self.until,
            breakpoints: launch.breakpoints.clone(),
            permissions: self.permissions.clone(),
            memory_bytes: self.settings.memory_bytes,
            thresholds: self.settings.thresholds,
        })
    }
}

/// A value for each parameter: the one that was set, or its default. The script may have been edited since: what it does
/// not ask for any more is left out, and what it would not take any more is refused.
fn values(manifest: &Manifest, set: &[(String, ParamValue)]) -> Result<Vec<(String, ParamValue)>, String> {
    let is_asked_for = |name: &str| manifest.params.iter().any(|param| param.name == name);
    let set = set.iter().filter(|(name, _)| is_asked_for(name));
    let set: Vec<(String, String)> = set.map(|(name, value)| (name.clone(), value.to_string())).collect();
    params::resolve(manifest, &set).map_err(|error| error.to_string())
}

/// What differs from its default, which the script's next version may change.
fn set_values(plan: &Plan) -> Vec<(String, ParamValue)> {
    let is_default = |(name, value): &&(String, ParamValue)| {
        plan.manifest.params.iter().any(|param| param.name == *name && param.default == *value)
    };
    plan.params.iter().filter(|set| !is_default(set)).cloned().collect()
}

impl Launcher for Stage {
    fn catalog(&self) -> &[Manifest] {
        &self.catalog
    }

    fn remark(&self) -> Option<String> {
        // A script that is broken would have no form to fill in.
        (self.broken > 0).then(|| "not all of your own workloads can be had: `loopscope workloads` says why".to_owned())
    }

    fn launch(&mut self, launch: &Launch) -> Result<Box<dyn Session>, String> {
        self.edited(&launch.name)?;
        let plan = self.plan(launch)?;
        let program = program_with(&plan.manifest, plan.params.clone(), plan.permissions.clone())
            .map_err(|error| error.to_string())?;
        let file = self.records.next().map_err(|error| format!("{error:#}"))?;
        let trace = Trace::with_budget(plan.memory_bytes);
        let cannot = |error: std::io::Error| format!("the loop cannot be started: {error}");
        // The run before may still be served, and goes only once there is one to take its place.
        let listener = self.listener.as_ref().map(Listener::try_clone).transpose().map_err(cannot)?;
        let (name, breakpoints) = (&plan.manifest.name, &plan.breakpoints);
        let session = LabSession::start_with(name, program, plan.options(), trace, listener, breakpoints)
            .map_err(cannot)?
            .judged_by(plan.thresholds);
        let session = session.with_source(&plan.manifest.file, &plan.manifest.text);
        record::onto(file, session, session::head(&plan.source(), plan.feed)).map_err(|error| format!("{error:#}"))
    }

    fn attach(&mut self, address: &str) -> Result<Box<dyn Session>, String> {
        let address = address.parse::<Address>().map_err(|error| error.to_string())?;
        let file = self.records.next().map_err(|error| format!("{error:#}"))?;
        let session = AttachSession::start(&address, self.settings.memory_bytes);
        let session = session.map_err(|error| format!("no thread could be had: {error}"))?;
        let head = session::head(&attach::source(&address), FeedChoice::Console);
        record::onto(file, session, head).map_err(|error| format!("{error:#}"))
    }

    fn save(&mut self, file: &str, session: &dyn Session, launched: Option<&Launch>) -> Result<String, String> {
        let status = session.status();
        if file.is_empty() {
            return Err("a file has a name".to_owned());
        }
        if status.source == SourceKind::Archive {
            return Err("what is shown is in a file already".to_owned());
        }
        let params = match launched {
            Some(launch) => values(self.named(&launch.name)?, &launch.values)?,
            None => Vec::new(),
        };
        let seed = launched.map_or(0, |_| self.seed);
        let source = Source { kind: status.source, name: status.name, params, clock: status.clock, seed };
        let path = Path::new(file);
        let saved = ArchiveFile::new(path).and_then(|made| made.save(session, &session::head(&source, status.feed)));
        saved.map_err(|error| error.to_string())?;
        Ok(format!("saved to {file}, up to {}; `loopscope open` shows it again", human_ns(session.trace().now())))
    }

    fn to_edit(&mut self, name: &str) -> Result<PathBuf, String> {
        let manifest = self.named(name)?;
        if let Some(path) = &manifest.path {
            return Ok(path.clone());
        }
        let path = own_folder().copy(manifest)?;
        // From now on the copy is what runs under the name.
        manifest.path = Some(path.clone());
        Ok(path)
    }

    fn edited(&mut self, name: &str) -> Result<(), String> {
        let manifest = self.named(name)?;
        if let Some(path) = manifest.path.clone() {
            *manifest = catalog::read(name, &path).map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

/// Lets the person choose a workload and runs it on screen, until they leave.
pub(super) fn pick(settings: &Settings) -> anyhow::Result<Exit> {
    let Listing { workloads: catalog, broken } = listing(&own_folder());
    show(Stage { broken: broken.len(), ..Stage::new(catalog, settings) }, Start::Picker, settings)
}

/// Runs the plan on screen until the person leaves.
pub(super) fn run(
    plan: Plan,
    listener: Option<Listener>,
    records: Records,
    settings: &Settings,
) -> anyhow::Result<Exit> {
    let launch = Launch {
        name: plan.manifest.name.clone(),
        values: set_values(&plan),
        speed: Some(plan.speed),
        clock: Some(plan.clock),
        paused: plan.paused,
        breakpoints: plan.breakpoints.clone(),
    };
    let mut catalog = listing(&own_folder()).workloads;
    if !catalog.iter().any(|manifest| manifest.file == plan.manifest.file) {
        // A script of the person's own stands first, also where it has the name of one that is built in.
        catalog.retain(|manifest| manifest.name != plan.manifest.name);
        catalog.insert(0, plan.manifest.clone());
    }
    let Plan { seed, feed, until, permissions, .. } = plan;
    let stage = Stage { seed, feed, until, permissions, listener, records, ..Stage::new(catalog, settings) };
    show(stage, Start::Launch(launch), settings)
}

/// Shows what is there already, until the person leaves; what comes after it is written like it.
pub(super) fn watch(sessions: Vec<Box<dyn Session>>, records: Records, settings: &Settings) -> anyhow::Result<Exit> {
    let stage = Stage { records, ..Stage::new(listing(&own_folder()).workloads, settings) };
    show(stage, Start::Sessions(sessions), settings)
}

fn show(mut stage: Stage, start: Start, settings: &Settings) -> anyhow::Result<Exit> {
    let palette = match settings.theme {
        ThemeChoice::Ansi => Palette::Ansi16,
        ThemeChoice::Rgb => Palette::Rgb,
        ThemeChoice::Mono => Palette::Mono,
    };
    let theme = Theme { palette, ascii: settings.ascii };
    terminal::heed_signals()?;
    let left =
        terminal::run(&mut stage, start, Options { theme, mouse: settings.mouse, thresholds: settings.thresholds })
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
