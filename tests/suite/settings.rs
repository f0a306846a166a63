//! Settings: who wins, what the template says, and where an error points.

use std::path::Path;

use loopscope::control::Speed;
use loopscope::settings::{Settings, Size, TEMPLATE, ThemeChoice, Wishes, parse};

use crate::cli::{loopscope, loopscope_with};

/// A settings file of this test's own, removed with it.
struct TestFile(std::path::PathBuf);

impl TestFile {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("loopscope-settings-{}-{name}.toml", std::process::id()));
        std::fs::write(&path, text).expect("the temporary folder can be written");
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("the temporary folder has a plain name")
    }
}

impl Drop for TestFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn load(variables: &[(&str, &str)], flags: &Wishes) -> Result<Settings, String> {
    // Never the machine's own file: the name leads nowhere unless a case says otherwise.
    let empty = TestFile::new(&format!("empty-{:?}", std::thread::current().id()), "");
    let variable = |name: &str| match variables.iter().find(|(known, _)| *known == name) {
        Some((_, value)) => Some((*value).to_owned()),
        None => (name == "LOOPSCOPE_SETTINGS").then(|| empty.path().to_owned()),
    };
    Settings::load(variable, flags).map_err(|error| error.to_string())
}

#[test]
fn what_is_nearer_to_the_person_wins() {
    let file = TestFile::new("order", "theme = \"rgb\"\nspeed = \"max\"\nmemory = 2097152\n");
    let with_file = ("LOOPSCOPE_SETTINGS", file.path());
    let none = Wishes::default();
    let theme = |variables: &[(&str, &str)], flags: &Wishes| load(variables, flags).map(|settings| settings.theme);
    assert_eq!(load(&[], &none), Ok(Settings::default()));
    assert_eq!(theme(&[("NO_COLOR", "1")], &none), Ok(ThemeChoice::Mono));
    assert_eq!(theme(&[("NO_COLOR", "")], &none), Ok(ThemeChoice::Ansi), "an empty NO_COLOR is none");
    assert_eq!(theme(&[("NO_COLOR", "1"), with_file], &none), Ok(ThemeChoice::Rgb));
    assert_eq!(theme(&[with_file, ("LOOPSCOPE_THEME", "mono")], &none), Ok(ThemeChoice::Mono));
    let flags = Wishes { theme: Some(ThemeChoice::Ansi), ..none };
    assert_eq!(theme(&[with_file, ("LOOPSCOPE_THEME", "mono")], &flags), Ok(ThemeChoice::Ansi));
    let settings = load(&[with_file, ("LOOPSCOPE_MOUSE", "false")], &none).expect("all of it is right");
    assert_eq!((settings.speed, settings.memory_bytes, settings.mouse), (Speed::Max, 2 << 20, false));
}

#[test]
fn the_template_is_the_defaults_in_use_and_uncommented() {
    let path = Path::new("template");
    assert_eq!(parse(TEMPLATE, path).expect("comments are TOML"), Wishes::default());
    let uncommented: String = TEMPLATE
        .lines()
        .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line))
        .fold(String::new(), |text, line| text + line + "\n");
    let wishes = parse(&uncommented, path).expect("each setting is TOML");
    let defaults = Settings::default();
    let said = Wishes {
        theme: Some(defaults.theme),
        ascii: Some(defaults.ascii),
        mouse: Some(defaults.mouse),
        speed: Some(defaults.speed),
        memory: Some(Size { bytes: defaults.memory_bytes }),
        findings: Some(defaults.thresholds),
    };
    assert_eq!(wishes, said, "the template shows every setting at its default");
    assert_eq!(loopscope(&["settings", "--default"]).out, TEMPLATE);
}

#[test]
fn an_error_says_file_line_and_column() {
    let cases = [
        ("ascii = false\ntheme = \"neon\"\n", "s.toml:2:9: ", "theme = \"neon\""),
        ("colour = 1\n", "s.toml:1:1: unknown field `colour`", "colour = 1"),
        ("\n  speed = 0\n", "s.toml:2:11: `0` is not a speed", "speed = 0"),
        ("memory = \"1 kB\"", "s.toml:1:10: `1 kB` is not an amount of memory", "memory"),
        ("[findings]\nblocked_lop = 1\n", "s.toml:2:1: unknown threshold `blocked_lop`", "blocked_lop"),
        ("[findings]\nblocked_loop = \"soon\"\n", "s.toml:2:16: `soon` is not a duration", "soon"),
        ("[findings]\nlarge_future = \"big\"\n", "s.toml:2:16: `big` is not an amount of memory", "big"),
        ("[findings]\nleak_tasks = 0.5\n", "s.toml:2:14: `0.5` is not a whole number", "0.5"),
        ("ascii = \n", "s.toml:1:", "ascii ="),
        ("ascii = \"\u{1b}[2J\"", "s.toml:1:", "ascii"),
    ];
    for (text, place, shown) in cases {
        let error = parse(text, Path::new("s.toml")).expect_err(text).to_string();
        assert!(error.contains(place) && error.contains(shown), "{text}: {error}");
        assert!(!error.contains('\u{1b}'), "{error:?}");
    }
}

#[test]
fn a_wrong_variable_or_a_missing_file_is_named() {
    let none = Wishes::default();
    let error = load(&[("LOOPSCOPE_SPEED", "fast")], &none).expect_err("fast is no speed");
    assert!(error.contains("LOOPSCOPE_SPEED") && error.contains("fast"), "{error}");
    let error = load(&[("LOOPSCOPE_SETTINGS", "/nonexistent/x.toml")], &none).expect_err("there is no such file");
    assert!(error.contains("/nonexistent/x.toml"), "{error}");
}

#[test]
fn the_program_shows_what_is_in_force_and_keeps_its_template_at_hand() {
    let broken = TestFile::new("broken", "theme = 3\n");
    let variables = [("LOOPSCOPE_SETTINGS", broken.path())];
    let ran = loopscope_with(&["settings"], &variables);
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""));
    assert!(ran.err.contains("-broken.toml:1:9: "), "{}", ran.err);
    assert_eq!(loopscope_with(&["settings", "--default"], &variables).code, Some(0));
    let ran = loopscope_with(&["settings", "--ascii"], &[("LOOPSCOPE_SPEED", "60")]);
    assert!(ran.out.contains("ascii = true\n") && ran.out.contains("speed = \"×60\"\n"), "{}", ran.out);
    let wishes = parse(&ran.out, Path::new("printed")).expect("what it prints is a settings file");
    assert_eq!(wishes.speed, Some(Speed::Times(60.0)));
}
