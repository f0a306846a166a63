//! Matching of names and descriptions against what the user typed.

/// Whether `text` contains `filter`, which is in lower case, ignoring case.
pub fn contains_ignoring_case(text: &str, filter: &str) -> bool {
    text.to_lowercase().contains(filter)
}
