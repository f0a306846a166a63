//! The complete state of the UI, and bringing it up to date before a frame.

use super::app_picker::AppPicker;
use super::dashboard::Dashboard;
use super::geometry::ScreenGeometry;
use super::keymap::KeyScope;
use super::live_findings::LiveFindings;
use super::overlay::{MessageOverlay, Overlay, Prompt, PromptKind};
use super::page::DashboardPage;
use super::picker::{Picker, PickerFocus};
use super::tabs::{TabBar, TabState};
use super::time;
use crate::control::RunPhase;
use crate::insight::{Finding, Findings, LintRunner, Thresholds};
use crate::session::interface::{LaunchRequest, RunningApp, Session};
use crate::trace::Nanos;
use crate::workload::manifest::Manifest;

/// Awaits that one refresh examines for findings, or work of the same cost: some milliseconds.
const FINDINGS_SEARCHED_PER_FRAME: usize = 100_000;

/// Which screen is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Screen {
    #[default]
    /// The list of workloads, with their parameters and scripts.
    Picker,
    /// The list of running apps to attach to.
    Apps,
    /// A watched session.
    Dashboard,
}

/// The complete UI state.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// The screen that is shown.
    pub screen: Screen,
    /// State of the picker; kept while the dashboard is shown.
    pub picker: Picker,
    /// State of the list of running apps; `None` if the workload picker is the first screen.
    pub app_picker: Option<AppPicker>,
    /// State of the dashboard for the session that is shown.
    pub dashboard: Dashboard,
    /// The overlay on top of the screen: help, a message or a prompt.
    pub overlay: Option<Overlay>,
    /// A one-line answer to the last action; cleared by the next key.
    pub notice: Option<String>,
    /// The last action was to leave a running session; repeating it confirms.
    pub is_leave_pending: bool,
    /// The last action was to edit a built-in script; repeating it copies the script and edits the copy.
    pub is_copy_pending: bool,
    /// What started the session that is shown, and what `run again` starts. `None` if loopscope did not start it.
    pub launched: Option<LaunchRequest>,
    /// Thresholds of the lints.
    pub thresholds: Thresholds,
    /// Findings of the whole run, once it has ended.
    pub findings: Option<Findings>,
    /// The findings search in progress: whether the run has ended, the loop time at which the search began, and its
    /// state.
    pub findings_search: Option<(bool, Nanos, LintRunner)>,
    /// Findings of the running session, for the badge in the header.
    pub live_findings: LiveFindings,
    /// One tab for each open session, including the one that is shown.
    pub tabs: TabBar,
}

impl Model {
    /// Returns the key scope of the topmost layer.
    pub fn scope(&self) -> KeyScope {
        match &self.overlay {
            Some(Overlay::Prompt(_)) => KeyScope::Prompt,
            Some(Overlay::Help(_) | Overlay::Message(_)) => KeyScope::Pager,
            None => self.screen_scope(),
        }
    }

    /// Returns the key scope of the screen, ignoring overlays.
    pub fn screen_scope(&self) -> KeyScope {
        match (self.screen, self.picker.focus) {
            (Screen::Dashboard, _) => KeyScope::Dashboard,
            (Screen::Apps, _) => KeyScope::Apps,
            (Screen::Picker, PickerFocus::Form) => KeyScope::Form,
            (Screen::Picker, PickerFocus::List | PickerFocus::Script) => KeyScope::Picker,
        }
    }

    /// Shows a new session from its beginning. Resets selection, filter and zoom; keeps only whether the details are
    /// shown.
    pub fn show_session(&mut self, launched: Option<LaunchRequest>) {
        self.screen = Screen::Dashboard;
        self.dashboard = Dashboard::with_details(self.dashboard.details);
        self.launched = launched;
        (self.findings, self.findings_search) = (None, None);
        self.live_findings = LiveFindings::default();
        self.overlay = None;
    }

    /// Installs the state of another tab and returns the state of the tab that was shown.
    #[must_use]
    pub fn swap_tab_state(&mut self, state: TabState) -> TabState {
        (self.screen, self.overlay, self.is_leave_pending) = (Screen::Dashboard, None, false);
        self.findings_search = None;
        self.live_findings = LiveFindings::default();
        TabState {
            dashboard: std::mem::replace(&mut self.dashboard, state.dashboard),
            launched: std::mem::replace(&mut self.launched, state.launched),
            findings: std::mem::replace(&mut self.findings, state.findings),
        }
    }

    /// Returns to the first screen, which keeps its state: the list of running apps or the workload picker.
    pub fn show_picker(&mut self) {
        self.screen = if self.app_picker.is_some() { Screen::Apps } else { Screen::Picker };
        self.overlay = None;
    }

    /// Makes the list of running apps the first screen, and shows it.
    pub fn show_app_picker(&mut self) {
        self.app_picker = Some(AppPicker::default());
        self.show_picker();
    }

    /// Replaces the list of running apps.
    pub fn set_running_apps(&mut self, apps: Vec<RunningApp>) {
        let notice = self.app_picker.as_mut().and_then(|picker| picker.set_apps(apps));
        self.notice = notice.or(self.notice.take());
    }

    /// Shows what the chosen row of the page refers to.
    pub(super) fn follow_row(&mut self, session: &dyn Session, geometry: &ScreenGeometry) {
        let result = self.dashboard.follow_row(session, self.findings.as_ref(), geometry);
        self.notice = result.err().map(str::to_owned);
    }

    /// Reopens a prompt with the rejected text and the reason.
    pub fn reopen_prompt(&mut self, kind: PromptKind, typed: &str, reason: String) {
        self.overlay = Some(Overlay::Prompt(Prompt { error: Some(reason), ..Prompt::new(kind, typed) }));
    }

    /// Returns the findings that the badge shows: those of the whole run once it has ended, otherwise the latest.
    pub fn badge_findings(&self) -> &Findings {
        self.findings.as_ref().unwrap_or(self.live_findings.found())
    }

    /// Shows the whole evidence of a finding in an overlay. Accepting it follows the finding to the timeline.
    pub fn show_finding(&mut self, finding: &Finding) {
        let mut message =
            MessageOverlay::new(&format!("{}: {}", finding.severity.name(), finding.name), &evidence_text(finding));
        message.follows_row = true;
        self.overlay = Some(Overlay::Message(message));
    }

    /// Shows `text`, line by line, in an overlay.
    pub fn show_message(&mut self, title: &str, text: &str) {
        self.overlay = Some(Overlay::Message(MessageOverlay::new(title, text)));
    }

    /// Whether a search for findings is in progress.
    pub fn is_searching_findings(&self) -> bool {
        self.findings_search.is_some()
    }

    /// Whether incremental work is left for what is shown, even if no further events arrive.
    pub fn has_pending_work(&self, session: Option<&dyn Session>) -> bool {
        self.findings_search.is_some()
            || session.is_some_and(|session| {
                self.screen == Screen::Dashboard && self.dashboard.has_pending_work(session.trace())
            })
    }

    /// Brings derived state up to date before a frame is drawn.
    pub fn refresh(&mut self, session: Option<&dyn Session>, catalog: &[Manifest]) {
        match (self.screen, session) {
            (Screen::Dashboard, Some(session)) => {
                self.dashboard.show_hit(session.hit(), session.trace());
                self.dashboard.refresh(session);
                self.advance_findings_search(session);
                if session.status().phase != RunPhase::Ended {
                    self.live_findings.advance(session.trace(), &self.thresholds);
                }
            }
            (Screen::Dashboard, None) | (Screen::Apps, _) => {}
            (Screen::Picker, _) => self.picker.refresh(catalog),
        }
    }

    /// Continues the findings search, if the run has ended or the user asked for it. The search is a pass over the
    /// whole trace. In a running session it therefore starts only on request, and its result stands until the next
    /// request.
    pub(super) fn advance_findings_search(&mut self, session: &dyn Session) {
        let has_ended = session.status().phase == RunPhase::Ended;
        let is_requested = self.dashboard.page == DashboardPage::Findings && self.dashboard.interim_findings.is_none();
        if self.findings.is_some() || !(has_ended || is_requested) {
            self.findings_search = None;
            return;
        }
        // A search that began before the run ended misses its last events: start again.
        let in_progress = self.findings_search.take().filter(|(had_ended, ..)| *had_ended == has_ended);
        let now = session.trace().now();
        let (_, at, mut search) = in_progress.unwrap_or_else(|| (has_ended, now, LintRunner::new(&self.thresholds)));
        match search.advance(session.trace(), FINDINGS_SEARCHED_PER_FRAME) {
            None => self.findings_search = Some((has_ended, at, search)),
            Some(found) if has_ended => self.findings = Some(found),
            Some(found) => self.dashboard.interim_findings = Some((at, found)),
        }
    }
}

/// Returns everything that is known of a finding, line by line.
fn evidence_text(finding: &Finding) -> String {
    let (problem, help) = finding.message.split_once("; help: ").unwrap_or((&finding.message, ""));
    let mut lines = vec![problem.to_owned(), String::new()];
    let location = finding.location.as_ref().map(ToString::to_string);
    lines.extend(location.map(|location| format!("at        {location}")));
    lines.push(format!("since     {}", time::duration(finding.at_ns)));
    lines.push(format!("count     {}", finding.count));
    lines.push(format!("certain   {}", if finding.is_certain { "yes" } else { "no" }));
    lines.extend([String::new(), "evidence".to_owned()]);
    lines.extend(finding.evidence.split("; ").map(|part| format!("  {part}")));
    lines.extend([String::new(), format!("help: {help}"), String::new()]);
    lines.push("enter: show it on the timeline    esc: back".to_owned());
    lines.join("\n")
}
