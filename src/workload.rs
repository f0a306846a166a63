//! WHAT RUNS: scripts that a person can read on one screen, with their parameters and what they teach.

pub mod catalog;
pub mod duration;
pub mod manifest;
pub mod params;
