//! Settings in the format of a settings file: a template with all defaults, and the effective values.

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

use super::file::FINDINGS_KEY;
use super::findings::format_threshold;
use super::setting::Setting;
use super::values::Settings;
use crate::insight::Thresholds;

/// Maximum width of a line of prose in columns.
const LINE_COLUMNS: usize = 100;

/// First paragraph of the template.
const INTRODUCTION: &str = "loopscope settings. Save this file as loopscope/settings.toml in your configuration \
                            directory (~/.config on Linux), or anywhere else and set LOOPSCOPE_SETTINGS to its path. \
                            Uncomment the settings that you want to change. Flags and LOOPSCOPE_… variables override this file; \
                            this file overrides NO_COLOR, TERM and the locale.";

/// Introduction to the thresholds.
const FINDINGS_INTRODUCTION: &str = "Thresholds of the lints. Times are seconds, or text such as \"10ms\". Sizes are \
                                     bytes, or text with KiB, MiB or GiB. All others are whole numbers.";

/// Returns a settings file with every setting at its default, commented out.
///
/// A copy changes nothing until a line is uncommented. Lines of prose begin with `# `, settings with `#` alone.
pub fn template() -> String {
    let mut text = String::new();
    push_prose(&mut text, INTRODUCTION);
    let defaults = Settings::default();
    for setting in Setting::ALL {
        text.push('\n');
        push_prose(&mut text, setting.help);
        let flag = setting.flag.map_or_else(String::new, |flag| format!(" Flag: {flag}."));
        push_prose(&mut text, &format!("Variable: {}.{flag}", setting.variable));
        text.push_str(&format!("#{} = {}\n", setting.name, setting.format(&defaults)));
    }
    text.push('\n');
    push_prose(&mut text, FINDINGS_INTRODUCTION);
    text.push_str(&format!("#[{FINDINGS_KEY}]\n"));
    for threshold in Thresholds::ALL {
        push_prose(&mut text, threshold.help);
        text.push_str(&format!("#{} = {}\n", threshold.name(), format_threshold(threshold, &defaults.thresholds)));
    }
    text
}

/// Writes all settings in the format of a settings file.
///
/// # Errors
/// Returns errors of the writer.
pub fn write_settings(settings: &Settings, out: &mut dyn Write) -> io::Result<()> {
    for setting in Setting::ALL {
        writeln!(out, "{} = {}", setting.name, setting.format(settings))?;
    }
    writeln!(out, "\n[{FINDINGS_KEY}]")?;
    for threshold in Thresholds::ALL {
        writeln!(out, "{} = {}", threshold.name(), format_threshold(threshold, &settings.thresholds))?;
    }
    Ok(())
}

/// Appends a paragraph as comment lines of at most [`LINE_COLUMNS`].
fn push_prose(text: &mut String, paragraph: &str) {
    let mut line = String::from("#");
    for word in paragraph.split_whitespace() {
        if line.len() > 1 && line.width() + 1 + word.width() > LINE_COLUMNS {
            text.push_str(&line);
            text.push('\n');
            line.truncate(1);
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}
