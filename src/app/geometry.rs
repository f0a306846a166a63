//! Where the panes are, as plain numbers. The view computes the layout; clicks and page sizes are resolved against it.

/// A rectangle of cells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CellRect {
    /// Leftmost column.
    pub x: u16,
    /// Topmost row.
    pub y: u16,
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

impl CellRect {
    /// Whether the cell at `column` and `row` is inside the rectangle.
    pub fn contains(&self, column: u16, row: u16) -> bool {
        let inside = |at: u16, start: u16, length: u16| at >= start && at - start < length;
        inside(column, self.x, self.width) && inside(row, self.y, self.height)
    }
}

/// Areas that can be clicked, scrolled or paged. A hidden pane has no cells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScreenGeometry {
    /// The rows of the tasks, with labels and lanes.
    pub rows: CellRect,
    /// Total rows of the page's list, visible or not.
    pub page_row_count: usize,
    /// The column titles of the task table.
    pub titles: CellRect,
    /// The lanes without their labels; each column is an interval of the axis.
    pub lanes: CellRect,
    /// The rows of the worker strip, one for each worker that it shows.
    pub workers: CellRect,
    /// The minimap of the whole run.
    pub minimap: CellRect,
    /// The output pane.
    pub output: CellRect,
    /// The details pane.
    pub details: CellRect,
    /// The tab bar.
    pub tabs: CellRect,
    /// Width of each tab in columns.
    pub tab_width: u16,
    /// Index of the leftmost visible tab.
    pub first_tab: usize,
    /// The picker's list of workloads.
    pub list: CellRect,
    /// The picker's form.
    pub form: CellRect,
    /// The picker's script.
    pub script: CellRect,
    /// The inside of the help or of a message overlay.
    pub overlay: CellRect,
    /// Lines of the overlay's text, wrapped to its width.
    pub overlay_lines: usize,
    /// Total lines of the details, visible or not.
    pub details_lines: usize,
}
