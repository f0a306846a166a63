//! The formats of reports.

use std::io::{self, Write};

use super::ReportInput;
use super::json::JsonReport;
use super::text::write_text;

/// A format of reports.
#[derive(Clone, Copy, Debug)]
pub struct ReportFormat {
    /// Name of the format and of its flag: `json`.
    pub name: &'static str,
    /// Help of the flag.
    pub help: &'static str,
    write: fn(&ReportInput, &mut dyn Write) -> io::Result<()>,
}

impl ReportFormat {
    /// Text for users, the default.
    pub const TEXT: Self =
        Self { name: "text", help: "Print the report as text", write: |input, out| write_text(input, out) };

    /// The formats with a flag of their own on the command line. A new format needs one line here.
    pub const WITH_FLAG: &[Self] = &[Self {
        name: "json",
        help: "Print the report as JSON",
        write: |input, out| JsonReport::new(input).write(out),
    }];

    /// Writes the report in this format.
    ///
    /// # Errors
    /// Returns errors of the writer.
    pub fn write(&self, input: &ReportInput, out: &mut dyn Write) -> io::Result<()> {
        (self.write)(input, out)
    }
}
