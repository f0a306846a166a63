//! Suggests the name that a misspelled word most likely means.

/// Returns the candidate that `word` is most likely a misspelling of, or `None` if no candidate is similar.
pub fn closest_match<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Up to a third of the letters may differ. With more differences it is a different word, not a typo.
    let limit = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= limit || (word.len() >= 3 && candidate.starts_with(word)))
        .min()
        .map(|(_, candidate)| candidate)
}
