//! What a frame is made from, so that panes take one thing rather than six.

use super::theme::Theme;
use crate::app::{Model, Session};
use crate::control::Status;
use crate::trace::Axis;
use crate::workload::manifest::Manifest;

/// Everything that there is to draw.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    pub model: &'a Model,
    pub session: Option<&'a dyn Session>,
    pub catalog: &'a [Manifest],
    pub theme: &'a Theme,
}

/// A scene in which a session is watched.
#[derive(Clone, Copy)]
pub struct Watching<'a> {
    pub model: &'a Model,
    pub session: &'a dyn Session,
    pub status: &'a Status,
    pub theme: &'a Theme,
}

impl Watching<'_> {
    /// How far the axis has come in this frame. A loop that runs tells a later time whenever it is asked, so nobody asks it
    /// twice: lanes, strip, header and details are of one moment.
    pub fn axis_end(self, axis: Axis) -> u64 {
        self.model.dashboard.axis_end_at(self.session.trace(), self.status.now, axis)
    }
}
