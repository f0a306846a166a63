//! Names of lints on the command line.

use crate::insight::LINTS;
use crate::workload::closest_match;

/// Stands for every lint.
const ALL: &str = "all";

/// One lint, or all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LintSelector {
    /// Every lint.
    All,
    /// The lint of this name.
    One(&'static str),
}

impl LintSelector {
    /// Returns whether it selects the lint `name`.
    pub fn selects(self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::One(selected) => selected == name,
        }
    }
}

impl std::str::FromStr for LintSelector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == ALL { Ok(Self::All) } else { parse_lint_name(text).map(Self::One) }
    }
}

/// Returns the name of the lint, or a message that proposes the closest one.
pub(super) fn parse_lint_name(text: &str) -> Result<&'static str, String> {
    let names = || LINTS.iter().map(|lint| lint.name);
    names().find(|name| *name == text).ok_or_else(|| {
        let help = match closest_match(text, names()) {
            Some(closest) => format!("did you mean `{closest}`?"),
            None => format!("the lints are {}", names().collect::<Vec<_>>().join(", ")),
        };
        format!("unknown lint `{text}`; help: {help}")
    })
}
