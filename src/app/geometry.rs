//! Where the panes are, as plain numbers: the view lays them out, and clicks and pages are counted against them.

/// A rectangle of cells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub x: u16,
    pub y: u16,
    pub width: u16,
    pub height: u16,
}

impl Place {
    /// Whether the cell at `column` and `row` is inside.
    pub fn has(&self, column: u16, row: u16) -> bool {
        let inside = |at: u16, start: u16, length: u16| at >= start && at - start < length;
        inside(column, self.x, self.width) && inside(row, self.y, self.height)
    }
}

/// Where everything is that can be clicked, scrolled or paged. A pane that is not shown has no cells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Geometry {
    /// The tasks' rows, labels and lanes.
    pub rows: Place,
    /// Rows of the page's list, also those that are not on the screen.
    pub list_rows: usize,
    /// The titles over the columns of the table of tasks.
    pub titles: Place,
    /// The lanes alone: each column is a stretch of the axis.
    pub lanes: Place,
    pub minimap: Place,
    pub output: Place,
    pub details: Place,
    /// The bar of tabs; each takes `tab_columns` of it, and the first one that is shown is `first_tab`.
    pub tabs: Place,
    pub tab_columns: u16,
    pub first_tab: usize,
    /// The picker's list of workloads.
    pub list: Place,
    pub form: Place,
    pub script: Place,
    /// The inside of the help or of a message.
    pub overlay: Place,
    /// Lines of the text in the overlay, as wrapped to its width.
    pub overlay_lines: usize,
    /// Lines that the details would take if there were room for all.
    pub details_lines: usize,
}
