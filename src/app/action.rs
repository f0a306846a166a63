//! User actions, and the effects that they have outside of the model.

use super::input::MouseInput;
use super::motion::Motion;
use super::page::DashboardPage;
use crate::control::{Breakpoint, SessionCommand, Speed};
use crate::session::interface::LaunchRequest;
use crate::trace::Nanos;

/// A user action, whether triggered by a key, the mouse or a typed command.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action {
    /// Quits the program.
    Quit,
    /// Steps back: closes the overlay, then clears the cursor, then the filter, then leaves the session.
    Back,
    /// Opens the help.
    Help,
    /// Opens the command palette.
    Palette,
    /// Opens the search prompt.
    Search,
    /// Opens the prompt for the address of a program to attach to.
    Attach,
    /// Opens the prompt for the file to save the trace to.
    Save,
    /// Runs, opens or confirms, depending on what has the focus.
    Accept,
    /// Inserts a character into a text field.
    InsertChar(char),
    /// Deletes the character before the cursor.
    DeleteBackward,
    /// Deletes the character after the cursor.
    DeleteForward,
    /// Clears the text field.
    ClearLine,
    /// Moves the selection, the scroll position or the text cursor.
    Move(Motion),
    /// Focuses the next pane.
    NextPane,
    /// Focuses the previous pane.
    PreviousPane,
    /// Halves the width of the visible range.
    ZoomIn,
    /// Doubles the width of the visible range.
    ZoomOut,
    /// Shows the whole run.
    FitAll,
    /// Shows the selected task from spawn to end.
    FitTask,
    /// Follows the run live.
    Follow,
    /// Undoes the last pan, zoom or fit.
    UndoView,
    /// Switches the axis between loop time and polls.
    SwitchAxis,
    /// Sets the time cursor, or moves it one column earlier.
    CursorBack,
    /// Moves the time cursor one column later.
    CursorForward,
    /// Pauses or resumes the loop if it is controllable; otherwise freezes or unfreezes the view.
    TogglePause,
    /// Stops the whole process that loopscope started, or lets it continue.
    ToggleProcessFreeze,
    /// Retries the connection to an attached app now.
    Reconnect,
    /// Lets one task be polled, then pauses.
    StepPoll,
    /// Runs one turn of the loop, then pauses.
    StepTurn,
    /// Runs until the selected task has been polled, then pauses.
    StepTask,
    /// Holds or releases the selected task.
    ToggleHold,
    /// Cancels the selected task.
    CancelTask,
    /// Selects the next lower speed of the virtual clock.
    Slower,
    /// Selects the next higher speed of the virtual clock.
    Faster,
    /// Runs the virtual clock at maximum speed.
    SpeedMax,
    /// Shows or hides the details of the selected task.
    ToggleDetails,
    /// Shows the outcome of the run.
    ShowOutcome,
    /// Searches for findings and shows their page.
    ShowFindings,
    /// Starts the same run again.
    RunAgain,
    /// Opens the script in the user's editor.
    Edit,
    /// Suspends the program, as ctrl-z does in a shell.
    Suspend,
    /// Sets the speed of the virtual clock.
    SetSpeed(Speed),
    /// Sets the time cursor to this loop time, in nanoseconds.
    GoTo(Nanos),
    /// Runs until this loop time in nanoseconds, then pauses.
    RunUntil(Nanos),
    /// Lets this many polls happen, then pauses.
    StepPolls(u32),
    /// Shows a page of the dashboard.
    ShowPage(DashboardPage),
    /// Shows the next page.
    NextPage,
    /// Shows the previous page.
    PreviousPage,
    /// Sorts the tasks by the column with this index in [`COLUMNS`](super::columns::COLUMNS); reverses the sort if it
    /// is the current column.
    SortBy(usize),
    /// Sorts the tasks by the next column.
    SortByNextColumn,
    /// Reverses the sort.
    ReverseSort,
    /// Hides or shows the tasks that have ended.
    ToggleEnded,
    /// Sets a breakpoint.
    AddBreakpoint(Breakpoint),
    /// Clears all breakpoints.
    ClearBreakpoints,
    /// Shows the tab with this number, counted from 1.
    ShowTab(usize),
    /// Shows the next tab.
    NextTab,
    /// Shows the previous tab.
    PreviousTab,
    /// Ends the session that is shown and closes its tab.
    CloseTab,
    /// A mouse action.
    Mouse(MouseInput),
}

impl Action {
    /// Whether the action is a command to the loop. It needs a controllable loop and a run that has not ended.
    pub fn is_loop_command(self) -> bool {
        matches!(
            self,
            Self::StepPoll
                | Self::StepPolls(_)
                | Self::StepTurn
                | Self::StepTask
                | Self::ToggleHold
                | Self::CancelTask
                | Self::Slower
                | Self::Faster
                | Self::SpeedMax
                | Self::SetSpeed(_)
                | Self::RunUntil(_)
        )
    }

    /// Whether the action only changes the visible part of the timeline.
    pub fn is_timeline_only(self) -> bool {
        matches!(
            self,
            Self::ZoomIn
                | Self::ZoomOut
                | Self::FitAll
                | Self::FitTask
                | Self::Follow
                | Self::UndoView
                | Self::SwitchAxis
        )
    }
}

/// What the event loop must do because of an action.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Start a run.
    Launch(LaunchRequest),
    /// Attach to the program at this address, in a new tab.
    Attach(String),
    /// Save the trace of the session that is shown to this file.
    Save(String),
    /// Send a command to the session that is shown.
    Command(SessionCommand),
    /// Open the script of this workload in the user's editor.
    Edit(String),
    /// Suspend the program.
    Suspend,
    /// End the session that is shown and close it.
    CloseSession,
    /// Show another session, by the index of its tab.
    ShowTab(usize),
    /// Quit the program.
    Quit,
}
