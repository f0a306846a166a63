//! What a person can mean, and what follows from it outside the model.

use super::input::Mouse;
use super::pages::Page;
use super::session::Launch;
use crate::control::{Breakpoint, Command, Speed};
use crate::trace::Nanos;

/// A direction or a distance to move by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    First,
    Last,
}

/// What a person can mean, whether by key, by mouse or by a typed command.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action {
    Quit,
    /// One step back: closes what is on top, then the cursor, then the filter, then the session.
    Back,
    Help,
    Palette,
    Search,
    /// Asks for the address of a program to attach to.
    Attach,
    /// Asks for the name of a file to save to what was seen so far.
    Save,
    /// Runs, chooses or confirms, by what is on top.
    Accept,
    Type(char),
    EraseBack,
    EraseForward,
    EraseLine,
    Move(Step),
    NextPane,
    PreviousPane,
    ZoomIn,
    ZoomOut,
    FitAll,
    FitTask,
    Follow,
    UndoView,
    SwitchAxis,
    CursorBack,
    CursorForward,
    /// Stops the loop where it is ours, and the picture where it is not; or lets it go on.
    TogglePause,
    /// Stops somebody else's process, or lets it go on.
    FreezeProcess,
    /// Tries to reach somebody else's program now.
    Retry,
    StepPoll,
    StepTurn,
    StepTask,
    ToggleHold,
    CancelTask,
    Slower,
    Faster,
    SpeedMax,
    ToggleDetails,
    ShowOutcome,
    ShowFindings,
    RunAgain,
    /// Opens the script in the person's editor.
    Edit,
    /// Gives the terminal back to the shell for a while.
    Suspend,
    SetSpeed(Speed),
    /// Sets the time cursor, to look back.
    GoTo(Nanos),
    RunUntil(Nanos),
    StepPolls(u32),
    ShowPage(Page),
    NextPage,
    PreviousPage,
    /// Puts the rows of tasks in order by the column at this place.
    SortBy(usize),
    SortByNext,
    SortOtherWay,
    /// Stop here by itself from now on.
    Break(Breakpoint),
    ForgetBreaks,
    /// Shows the tab of this number, from 1.
    ShowTab(usize),
    NextTab,
    PreviousTab,
    /// Ends what is shown and closes its tab.
    CloseTab,
    Mouse(Mouse),
}

impl Action {
    /// Asks a loop of our own for something; there is nobody to ask elsewhere, or once the run is over.
    pub fn drives_the_loop(self) -> bool {
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

    /// Changes nothing but which part of the timeline is seen.
    pub fn is_for_the_timeline(self) -> bool {
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

/// What the frame loop must do because of an action.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    Launch(Launch),
    /// Watch the program that listens at this address, in a tab of its own.
    Attach(String),
    /// Save what was seen of the session that is shown to the file of this name.
    Save(String),
    Command(Command),
    /// Open the script of this workload in the person's editor.
    Edit(String),
    /// Stop the whole program, as its shell does.
    Suspend,
    /// End the session that is shown and forget it.
    Leave,
    /// Show another session, by its place among the tabs.
    ShowTab(usize),
    Quit,
}
