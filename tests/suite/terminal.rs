//! The real frame loop, with typed keys and a screen in memory.
