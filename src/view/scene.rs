//! Inputs of a frame, bundled into one parameter.

use super::theme::Theme;
use crate::app::Model;
use crate::app::columns::ColumnContext;
use crate::control::SessionStatus;
use crate::session::interface::Session;
use crate::trace::Axis;
use crate::workload::manifest::Manifest;

/// Inputs of a frame on any screen.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// State of the user interface.
    pub model: &'a Model,
    /// The active session, if any.
    pub session: Option<&'a dyn Session>,
    /// Workloads that the picker lists.
    pub catalog: &'a [Manifest],
    /// Colours and character set.
    pub theme: &'a Theme,
}

/// Inputs of a frame on the dashboard, which has a session.
#[derive(Clone, Copy)]
pub struct SessionScene<'a> {
    /// State of the user interface.
    pub model: &'a Model,
    /// The active session.
    pub session: &'a dyn Session,
    /// Status of the session, read once per frame.
    pub status: &'a SessionStatus,
    /// Colours and character set.
    pub theme: &'a Theme,
}

impl<'a> SessionScene<'a> {
    /// End of the axis in this frame. Based on the status that was read once per frame, because a running loop's clock
    /// advances: lanes, strip, header and details show the same time.
    pub fn axis_end(self, axis: Axis) -> u64 {
        self.model.dashboard.axis_end_at(self.session.trace(), self.status.now, axis)
    }

    /// Trace and time for which the columns of tasks are computed.
    pub fn column_context(self) -> ColumnContext<'a> {
        let viewed = self.model.dashboard.viewed_time();
        let now = viewed.unwrap_or_else(|| self.axis_end(Axis::Time));
        ColumnContext { trace: self.session.trace(), now, is_past: viewed.is_some() }
    }
}
