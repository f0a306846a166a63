//! Runs on screen: the launcher that starts sessions for the screen, and the final exit code.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context;
use crossbeam_channel::Receiver;

use super::attach_target::{AttachOptions, AttachTarget, thread_error};
use super::catalog::user_folder;
use super::exit::{CliExit, OperationError, print_error};
use super::plan::RunPlan;
use super::record::{self, ArchiveFileSeries};
use crate::control::{FeedChoice, RunOutcome, SourceKind};
use crate::insight::units::human_ns;
use crate::lab::ConsoleListener;
use crate::report::RunSource;
use crate::session::{self, ArchiveFile, LabSession, LaunchRequest, Launcher, ProbedProcess, RunningApp, Session};
use crate::settings::{Settings, ThemeChoice};
use crate::terminal::{self, ScreenOptions, StartScreen};
use crate::trace::{Nanos, Trace};
use crate::view::{Palette, Theme};
use crate::workload::catalog::{self, WorkloadListing, list_workloads};
use crate::workload::manifest::{Manifest, ParamValue};
use crate::workload::{Permissions, build_program_with, params};

/// Starts sessions for the screen. Options that the form does not have come from the command line.
struct ScreenLauncher {
    catalog: Vec<Manifest>,
    /// Number of user workloads that could not be read.
    invalid_scripts: usize,
    settings: Settings,
    seed: u64,
    feed: FeedChoice,
    until: Option<Nanos>,
    permissions: Permissions,
    /// Archives for the sessions.
    archive_files: ArchiveFileSeries,
    /// Socket for external consoles.
    listener: Option<ConsoleListener>,
    /// How to attach to further apps.
    attach_options: AttachOptions,
    /// The running apps, before the screen asks for them.
    found_apps: Option<Vec<ProbedProcess>>,
    /// Later lists of the running apps.
    app_lists: Option<Receiver<Vec<ProbedProcess>>>,
}

impl ScreenLauncher {
    fn new(catalog: Vec<Manifest>, settings: &Settings) -> Self {
        Self {
            catalog,
            invalid_scripts: 0,
            settings: *settings,
            seed: 0,
            feed: FeedChoice::default(),
            until: None,
            permissions: Permissions::default(),
            archive_files: ArchiveFileSeries::default(),
            listener: None,
            attach_options: AttachOptions::default(),
            found_apps: None,
            app_lists: None,
        }
    }

    /// Returns the workload called `name`.
    fn manifest_mut(&mut self, name: &str) -> Result<&mut Manifest, String> {
        let manifest = self.catalog.iter_mut().find(|manifest| manifest.name == name);
        manifest.ok_or_else(|| format!("unknown workload `{name}`; `loopscope workloads` lists all"))
    }

    /// Converts a launch request to a plan.
    fn plan(&mut self, launch: &LaunchRequest) -> Result<RunPlan, String> {
        let manifest = self.manifest_mut(&launch.name)?.clone();
        let clock = manifest.clock;
        Ok(RunPlan {
            params: resolve_params(&manifest, &launch.params)?,
            manifest,
            seed: self.seed,
            clock: launch.clock.unwrap_or(clock),
            speed: launch.speed.unwrap_or(self.settings.speed),
            feed: self.feed,
            paused: launch.start_paused,
            until: self.until,
            breakpoints: launch.breakpoints.clone(),
            permissions: self.permissions.clone(),
            memory_bytes: self.settings.memory_bytes,
            thresholds: self.settings.thresholds,
        })
    }
}

/// Resolves all parameters from the values set and the defaults.
///
/// The script may have been edited since the values were set: removed parameters are ignored, invalid values are
/// errors.
fn resolve_params(manifest: &Manifest, set: &[(String, ParamValue)]) -> Result<Vec<(String, ParamValue)>, String> {
    let exists = |name: &str| manifest.params.iter().any(|param| param.name == name);
    let set = set.iter().filter(|(name, _)| exists(name));
    let set: Vec<(String, String)> = set.map(|(name, value)| (name.clone(), value.to_string())).collect();
    params::resolve(manifest, &set).map_err(|error| error.to_string())
}

/// Returns the parameters that differ from their defaults, which an edited script may change.
fn set_values(plan: &RunPlan) -> Vec<(String, ParamValue)> {
    let is_default = |(name, value): &&(String, ParamValue)| {
        plan.manifest.params.iter().any(|param| param.name == *name && param.default == *value)
    };
    plan.params.iter().filter(|set| !is_default(set)).cloned().collect()
}

impl Launcher for ScreenLauncher {
    fn catalog(&self) -> &[Manifest] {
        &self.catalog
    }

    fn catalog_warning(&self) -> Option<String> {
        (self.invalid_scripts > 0).then(|| {
            format!("{} of your workloads cannot be read; `loopscope workloads` shows the errors", self.invalid_scripts)
        })
    }

    fn launch(&mut self, launch: &LaunchRequest) -> Result<Box<dyn Session>, String> {
        self.reload(&launch.name)?;
        let plan = self.plan(launch)?;
        let program = build_program_with(&plan.manifest, plan.params.clone(), plan.permissions.clone())
            .map_err(|error| error.to_string())?;
        let file = self.archive_files.next().map_err(|error| format!("{error:#}"))?;
        let trace = Trace::with_budget(plan.memory_bytes);
        let start_error = |error: std::io::Error| format!("cannot start the loop: {error}");
        // The previous run may still use the listener until this one replaces it.
        let listener = self.listener.as_ref().map(ConsoleListener::try_clone).transpose().map_err(start_error)?;
        let (name, breakpoints) = (&plan.manifest.name, &plan.breakpoints);
        let session = LabSession::start_with_breakpoints(name, program, plan.options(), trace, listener, breakpoints)
            .map_err(start_error)?
            .with_thresholds(plan.thresholds);
        let session = session.with_source(&plan.manifest.file, &plan.manifest.text);
        record::archive_session(file, session, session::archive_head(&plan.source(), plan.feed))
            .map_err(|error| format!("{error:#}"))
    }

    fn running_apps(&mut self) -> Option<Vec<RunningApp>> {
        let list = self.found_apps.take().or_else(|| self.app_lists.as_ref()?.try_recv().ok())?;
        let now = SystemTime::now();
        Some(list.into_iter().map(|process| running_app(process, now)).collect())
    }

    fn attach(&mut self, address: &str) -> Result<Box<dyn Session>, String> {
        let target = address.parse::<AttachTarget>().map_err(|error| error.to_string())?;
        let file = self.archive_files.next().map_err(|error| format!("{error:#}"))?;
        let session = target
            .start_in_background(&self.attach_options, &self.settings)
            .map_err(|error| format!("{error:#}"))?
            .into_session();
        let head = session::archive_head(&target.run_source(), session.status().feed);
        record::archive_session(file, session, head).map_err(|error| format!("{error:#}"))
    }

    fn save(&mut self, file: &str, session: &dyn Session, launched: Option<&LaunchRequest>) -> Result<String, String> {
        let status = session.status();
        if file.is_empty() {
            return Err("missing file name".to_owned());
        }
        if status.source == SourceKind::Archive {
            return Err("this session is already an archive".to_owned());
        }
        let params = match launched {
            Some(launch) => resolve_params(self.manifest_mut(&launch.name)?, &launch.params)?,
            None => Vec::new(),
        };
        let seed = launched.map_or(0, |_| self.seed);
        let source = RunSource { kind: status.source, name: status.name, params, clock: status.clock, seed };
        let path = Path::new(file);
        let saved = ArchiveFile::create_new(path)
            .and_then(|result| result.save(session, &session::archive_head(&source, status.feed)));
        saved.map_err(|error| error.to_string())?;
        Ok(format!("saved to {file} (up to {}); open it with `loopscope open`", human_ns(session.trace().now())))
    }

    fn editable_script(&mut self, name: &str) -> Result<PathBuf, String> {
        let manifest = self.manifest_mut(name)?;
        if let Some(path) = &manifest.path {
            return Ok(path.clone());
        }
        let path = user_folder().copy_built_in(manifest)?;
        // From now on the copy runs under this name.
        manifest.path = Some(path.clone());
        Ok(path)
    }

    fn reload(&mut self, name: &str) -> Result<(), String> {
        let manifest = self.manifest_mut(name)?;
        if let Some(path) = manifest.path.clone() {
            *manifest = catalog::read_script(name, &path).map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

/// Shows the picker and runs workloads on screen until the user quits.
pub(super) fn pick(settings: &Settings) -> anyhow::Result<CliExit> {
    let WorkloadListing { workloads: catalog, broken } = list_workloads(&user_folder());
    show(
        ScreenLauncher { invalid_scripts: broken.len(), ..ScreenLauncher::new(catalog, settings) },
        StartScreen::Picker,
        settings,
    )
}

/// Runs the plan on screen until the user quits.
pub(super) fn run(
    plan: RunPlan,
    listener: Option<ConsoleListener>,
    archive_files: ArchiveFileSeries,
    settings: &Settings,
) -> anyhow::Result<CliExit> {
    let launch = LaunchRequest {
        name: plan.manifest.name.clone(),
        params: set_values(&plan),
        speed: Some(plan.speed),
        clock: Some(plan.clock),
        start_paused: plan.paused,
        breakpoints: plan.breakpoints.clone(),
    };
    let mut catalog = list_workloads(&user_folder()).workloads;
    if !catalog.iter().any(|manifest| manifest.file == plan.manifest.file) {
        // A script file comes first and replaces a workload of the same name.
        catalog.retain(|manifest| manifest.name != plan.manifest.name);
        catalog.insert(0, plan.manifest.clone());
    }
    let RunPlan { seed, feed, until, permissions, .. } = plan;
    let launcher = ScreenLauncher {
        seed,
        feed,
        until,
        permissions,
        listener,
        archive_files,
        ..ScreenLauncher::new(catalog, settings)
    };
    show(launcher, StartScreen::Launch(launch), settings)
}

/// Shows existing sessions until the user quits. Sessions attached later are archived to the same series.
pub(super) fn watch(
    sessions: Vec<Box<dyn Session>>,
    archive_files: ArchiveFileSeries,
    settings: &Settings,
) -> anyhow::Result<CliExit> {
    watch_attached(sessions, AttachOptions::default(), archive_files, settings)
}

/// Shows existing sessions as [`watch`] does. Apps that are attached to later are attached to with these options.
pub(super) fn watch_attached(
    sessions: Vec<Box<dyn Session>>,
    attach_options: AttachOptions,
    archive_files: ArchiveFileSeries,
    settings: &Settings,
) -> anyhow::Result<CliExit> {
    let catalog = list_workloads(&user_folder()).workloads;
    let launcher = ScreenLauncher { attach_options, archive_files, ..ScreenLauncher::new(catalog, settings) };
    show(launcher, StartScreen::Sessions(sessions), settings)
}

/// Shows the list of the running apps until the user quits. The session of a chosen app is archived to the series.
pub(super) fn choose_app(
    found: Vec<ProbedProcess>,
    attach_options: AttachOptions,
    archive_files: ArchiveFileSeries,
    settings: &Settings,
) -> anyhow::Result<CliExit> {
    let app_lists = session::watch_processes().with_context(thread_error)?;
    let launcher = ScreenLauncher {
        attach_options,
        archive_files,
        found_apps: Some(found),
        app_lists: Some(app_lists),
        ..ScreenLauncher::new(list_workloads(&user_folder()).workloads, settings)
    };
    show(launcher, StartScreen::Apps, settings)
}

fn running_app(process: ProbedProcess, now: SystemTime) -> RunningApp {
    RunningApp {
        pid: process.pid,
        name: process.name(),
        age: process.age(now),
        tasks: process.hello.map(|hello| hello.tasks),
    }
}

/// Shows the screen until the user quits, and returns the exit code.
fn show(mut launcher: ScreenLauncher, start: StartScreen, settings: &Settings) -> anyhow::Result<CliExit> {
    let palette = match settings.theme {
        ThemeChoice::Ansi => Palette::Ansi16,
        ThemeChoice::Rgb => Palette::Rgb,
        ThemeChoice::Mono => Palette::Mono,
    };
    let theme = Theme { palette, ascii: settings.ascii };
    terminal::handle_early_signals()?;
    let screen_end = terminal::run(
        &mut launcher,
        start,
        ScreenOptions { theme, mouse: settings.mouse, thresholds: settings.thresholds },
    )
    .map_err(|error| {
        match error {
            // A launch error is invalid input; other errors are not.
            terminal::ScreenError::Launch(message) => anyhow::Error::msg(message),
            other => OperationError(other.to_string()).into(),
        }
    })?;
    if let Some(signal) = screen_end.signal {
        return Ok(CliExit::Signal(signal));
    }
    if let Some(reason) = screen_end.lost {
        return Err(OperationError(format!("lost the terminal: {reason}")).into());
    }
    // Repeat the error of the run, which disappeared with the screen.
    let status = screen_end.session.map(|session| session.status());
    match status.and_then(|status| Some((status.name, status.outcome?))) {
        Some((name, RunOutcome::Failed(error))) => {
            print_error(&format!("{name} failed: {error}"));
            Ok(CliExit::Failed)
        }
        _ => Ok(CliExit::Success),
    }
}
