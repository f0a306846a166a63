//! Action in, state and effects out.
