//! Await chains in the details of a task.

use loopscope::internals::app::Action;

use crate::fake_session;
use crate::snapshot::{assert_snapshot, text};
use crate::view::{ANSI, screen};

#[test]
fn details_show_the_await_chain() {
    let session = fake_session::waiting_in(&[("main", 13), ("Wrapper.with_a_long_name_of_its_own", 10), ("count", 4)]);
    let narrow = screen(Some(&session), &ANSI, (80, 24), &[Action::ToggleDetails]);
    assert_snapshot("dashboard-80x24-await-chain", &narrow);
    let text = text(&screen(Some(&session), &ANSI, (120, 60), &[]));
    for part in ["main (countasync.lua:13)", "await(gather(all))", "count (countasync.lua:4)", "await(sleep(1))"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn middle_of_a_long_chain_is_left_out() {
    let names: Vec<String> = (0..40).map(|level| format!("level{level}")).collect();
    let chain: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 4)).collect();
    let session = fake_session::waiting_in(&chain);
    let text = text(&screen(Some(&session), &ANSI, (120, 60), &[]));
    for part in ["level0 ", "(28 more)", "level29 ", "level39 "] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("level28 "), "{text}");
}
