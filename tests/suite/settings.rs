//! Settings: precedence, the template and error positions.

use std::path::Path;

use loopscope::control::Speed;
use loopscope::insight::Thresholds;
use loopscope::internals::settings::{MemorySize, PartialSettings, Setting, Settings, ThemeChoice, parse, template};

use crate::cli::{loopscope, loopscope_with_env};

/// A temporary settings file, removed on drop.
struct TestFile(std::path::PathBuf);

impl TestFile {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("loopscope-settings-{}-{name}.toml", std::process::id()));
        std::fs::write(&path, text).expect("write the file");
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("the path is UTF-8")
    }
}

impl Drop for TestFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn load(variables: &[(&str, &str)], flags: &PartialSettings) -> Result<Settings, String> {
    // Unless a case names a file, use an empty one instead of the file of this machine.
    let empty = TestFile::new(&format!("empty-{:?}", std::thread::current().id()), "");
    let variable = |name: &str| match variables.iter().find(|(known, _)| *known == name) {
        Some((_, value)) => Some((*value).to_owned()),
        None => (name == "LOOPSCOPE_SETTINGS").then(|| empty.path().to_owned()),
    };
    Settings::load(variable, flags).map_err(|error| error.to_string())
}

#[test]
fn precedence_of_sources() {
    let file = TestFile::new("order", "theme = \"rgb\"\nspeed = \"max\"\nmemory = 2097152\n");
    let with_file = ("LOOPSCOPE_SETTINGS", file.path());
    let none = PartialSettings::default();
    let theme =
        |variables: &[(&str, &str)], flags: &PartialSettings| load(variables, flags).map(|settings| settings.theme);
    assert_eq!(load(&[], &none), Ok(Settings::default()));
    assert_eq!(theme(&[("NO_COLOR", "1")], &none), Ok(ThemeChoice::Mono));
    assert_eq!(theme(&[("NO_COLOR", "")], &none), Ok(ThemeChoice::Ansi), "an empty NO_COLOR is ignored");
    assert_eq!(theme(&[("NO_COLOR", "1"), with_file], &none), Ok(ThemeChoice::Rgb));
    assert_eq!(theme(&[with_file, ("LOOPSCOPE_THEME", "mono")], &none), Ok(ThemeChoice::Mono));
    let flags = PartialSettings { theme: Some(ThemeChoice::Ansi), ..none };
    assert_eq!(theme(&[with_file, ("LOOPSCOPE_THEME", "mono")], &flags), Ok(ThemeChoice::Ansi));
    let settings = load(&[with_file, ("LOOPSCOPE_MOUSE", "false")], &none).expect("the settings are valid");
    assert_eq!((settings.speed, settings.memory_bytes, settings.mouse), (Speed::Max, 2 << 20, false));
}

#[test]
fn ascii_follows_terminal_and_locale() {
    let none = PartialSettings::default();
    let ascii = |variables: &[(&str, &str)]| load(variables, &none).map(|settings| settings.ascii);
    for variables in [
        &[("LC_ALL", "C")][..],
        &[("LC_ALL", "POSIX"), ("LANG", "C.UTF-8")],
        &[("LC_ALL", ""), ("LC_CTYPE", "de_DE.ISO-8859-1"), ("LANG", "C.UTF-8")],
        &[("LANG", "de_DE@euro")],
        &[("LANG", "C.UTF-8"), ("TERM", "linux")],
    ] {
        assert_eq!(ascii(variables), Ok(true), "{variables:?}");
    }
    for variables in [
        &[][..],
        &[("LC_ALL", "C.UTF-8"), ("LANG", "C")],
        &[("LC_CTYPE", "UTF-8"), ("LANG", "C")],
        &[("LANG", "de_DE.utf8@euro"), ("TERM", "xterm-256color")],
        &[("LC_ALL", "C"), ("LOOPSCOPE_ASCII", "false")],
    ] {
        assert_eq!(ascii(variables), Ok(false), "{variables:?}");
    }
}

#[test]
fn template_contains_all_defaults() {
    let path = Path::new("template");
    let template = template();
    assert_eq!(parse(&template, path).expect("parse the template"), PartialSettings::default());
    let uncommented: String = template
        .lines()
        .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line))
        .fold(String::new(), |text, line| text + line + "\n");
    let parsed = parse(&uncommented, path).expect("parse the uncommented template");
    let defaults = Settings::default();
    // A new field must be added here, and fails the test until it is in the table of settings.
    let expected = PartialSettings {
        theme: Some(defaults.theme),
        ascii: Some(defaults.ascii),
        mouse: Some(defaults.mouse),
        speed: Some(defaults.speed),
        memory: Some(MemorySize { bytes: defaults.memory_bytes }),
        findings: Some(defaults.thresholds),
    };
    assert_eq!(parsed, expected, "the template shows every setting at its default");
    let names = Setting::ALL.iter().map(|setting| setting.name);
    for name in names.chain(Thresholds::ALL.iter().map(|threshold| threshold.name())) {
        assert_eq!(template.matches(&format!("\n#{name} = ")).count(), 1, "{name}");
    }
    assert!(template.lines().all(|line| line.chars().count() <= 100), "{template}");
    assert_eq!(loopscope(&["settings", "--default"]).stdout, template);
}

#[test]
fn settings_name_existing_flags() {
    for flag in Setting::ALL.iter().filter_map(|setting| setting.flag) {
        let words: Vec<&str> = flag.split(' ').collect();
        let [subcommands @ .., option] = words.as_slice() else { panic!("`{flag}` is empty") };
        let mut command = loopscope::internals::cli::command();
        for name in subcommands {
            command = command.find_subcommand(name).expect(flag).clone();
        }
        let long = option.strip_prefix("--").expect(flag);
        assert!(command.get_arguments().any(|arg| arg.get_long() == Some(long)), "{flag}");
    }
}

#[test]
fn effective_settings_parse_to_the_same_values() {
    let mut settings = Settings {
        theme: ThemeChoice::Rgb,
        ascii: true,
        mouse: false,
        speed: Speed::Factor(0.1),
        memory_bytes: (1 << 30) + 1,
        thresholds: Thresholds::default(),
    };
    for (index, threshold) in Thresholds::ALL.iter().enumerate() {
        threshold.set(&mut settings.thresholds, 1_000_003 * (index as u64 + 1));
    }
    let mut written = Vec::new();
    loopscope::internals::settings::write_settings(&settings, &mut written).expect("writing to memory cannot fail");
    let written = String::from_utf8(written).expect("the output is UTF-8");
    let parsed = parse(&written, Path::new("written")).expect("parse the output");
    let expected = PartialSettings {
        theme: Some(settings.theme),
        ascii: Some(settings.ascii),
        mouse: Some(settings.mouse),
        speed: Some(settings.speed),
        memory: Some(MemorySize { bytes: settings.memory_bytes }),
        findings: Some(settings.thresholds),
    };
    assert_eq!(parsed, expected, "{written}");
}

#[test]
fn errors_have_file_line_and_column() {
    let cases = [
        ("ascii = false\ntheme = \"neon\"\n", "s.toml:2:9: ", "theme = \"neon\""),
        ("colour = 1\n", "s.toml:1:1: unknown setting `colour`", "colour = 1"),
        ("\n  speed = 0\n", "s.toml:2:11: `0` is not a speed", "speed = 0"),
        ("memory = \"1 kB\"", "s.toml:1:10: invalid memory size `1 kB`", "memory"),
        ("[findings]\nblocked_lop = 1\n", "s.toml:2:1: unknown threshold `blocked_lop`", "blocked_lop"),
        ("[findings]\nblocked_loop = \"soon\"\n", "s.toml:2:16: `soon` is not a duration", "soon"),
        ("[findings]\nlarge_future = \"big\"\n", "s.toml:2:16: invalid memory size `big`", "big"),
        ("[findings]\nleak_tasks = 0.5\n", "s.toml:2:14: `0.5` is not a whole number", "0.5"),
        ("theme = 3", "s.toml:1:9: ", "theme = 3"),
        ("ascii = \"true\"", "s.toml:1:9: ", "ascii = "),
        ("ascii = \n", "s.toml:1:", "ascii ="),
        ("ascii = \"\u{1b}[2J\"", "s.toml:1:", "ascii"),
    ];
    for (text, position, line) in cases {
        let error = parse(text, Path::new("s.toml")).expect_err(text).to_string();
        assert!(error.contains(position) && error.contains(line), "{text}: {error}");
        assert!(!error.contains('\u{1b}'), "{error:?}");
    }
}

#[test]
fn errors_name_the_variable_or_file() {
    let none = PartialSettings::default();
    let error = load(&[("LOOPSCOPE_SPEED", "fast")], &none).expect_err("`fast` is not a speed");
    assert!(error.contains("LOOPSCOPE_SPEED") && error.contains("fast"), "{error}");
    let error = load(&[("LOOPSCOPE_SETTINGS", "/nonexistent/x.toml")], &none).expect_err("the file does not exist");
    assert!(error.contains("/nonexistent/x.toml"), "{error}");
}

#[test]
fn settings_command_prints_effective_values() {
    let broken = TestFile::new("broken", "theme = 3\n");
    let variables = [("LOOPSCOPE_SETTINGS", broken.path())];
    let output = loopscope_with_env(&["settings"], &variables);
    assert_eq!((output.exit_code, output.stdout.as_str()), (Some(2), ""));
    assert!(output.stderr.contains("-broken.toml:1:9: "), "{}", output.stderr);
    assert_eq!(loopscope_with_env(&["settings", "--default"], &variables).exit_code, Some(0));
    let output = loopscope_with_env(&["settings", "--ascii"], &[("LOOPSCOPE_SPEED", "60")]);
    assert!(output.stdout.contains("ascii = true\n") && output.stdout.contains("speed = 60\n"), "{}", output.stdout);
    let parsed = parse(&output.stdout, Path::new("printed")).expect("the output is a settings file");
    assert_eq!(parsed.speed, Some(Speed::Factor(60.0)));
}
