//! Python programs: the module that lets them speak the probe's protocol, and commands that ignore it.
//!
//! The module is on the path of every Python that the app starts. Python imports `sitecustomize` from there before
//! anything else. Programs in other languages do not read the path.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;

/// Returns the path and the text of each of these files of the module.
macro_rules! files {
    ($($name:literal,)*) => {
        &[$(($name, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/python/", $name))),)*]
    };
}

/// The files of the module and their texts.
const FILES: &[(&str, &str)] = files![
    "sitecustomize.py",
    "loopscope/__init__.py",
    "loopscope/_breakpoints.py",
    "loopscope/_buffers.py",
    "loopscope/_chains.py",
    "loopscope/_clock.py",
    "loopscope/_gate.py",
    "loopscope/_hooks.py",
    "loopscope/_output.py",
    "loopscope/_records.py",
    "loopscope/_resources.py",
    "loopscope/_session.py",
    "loopscope/_tasks.py",
    "loopscope/_virtual.py",
];

/// Variable with the folders in which Python looks for modules first.
const PATH_VARIABLE: &str = "PYTHONPATH";

/// Options by which Python ignores the variable, or does not import `sitecustomize`.
const IGNORING_OPTIONS: &str = "IES";

/// Writes the module to a folder in `folder`. Returns the variable by which Python finds it; what the user has set comes
/// after it.
///
/// # Errors
/// Returns an error if a file cannot be written.
pub fn install(folder: &Path) -> io::Result<(&'static str, OsString)> {
    let folder = folder.join("python");
    for (name, text) in FILES {
        let path = folder.join(name);
        path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        std::fs::write(path, text)?;
    }
    Ok((PATH_VARIABLE, with_earlier_path(folder.into(), std::env::var_os(PATH_VARIABLE))))
}

fn with_earlier_path(mut path: OsString, earlier: Option<OsString>) -> OsString {
    if let Some(earlier) = earlier.filter(|earlier| !earlier.is_empty()) {
        path.push(":");
        path.push(earlier);
    }
    path
}

/// A command that starts Python.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PythonCommand {
    /// The option by which it ignores the module.
    ignoring_option: Option<char>,
}

impl PythonCommand {
    /// Recognizes a command by its name; `None` if it is none or starts Python in another way.
    pub fn of(command: &[OsString]) -> Option<Self> {
        let (program, arguments) = command.split_first()?;
        let name = Path::new(program).file_name()?.to_str()?;
        let version = name.strip_prefix("python")?;
        let is_python = version.chars().all(|char| char.is_ascii_digit() || char == '.');
        is_python.then(|| Self { ignoring_option: ignoring_option(arguments) })
    }

    /// Returns why nothing of asyncio is shown, if that is certain from the command.
    pub fn problem(self) -> Option<String> {
        let option = self.ignoring_option?;
        Some(format!("asyncio is not observed: Python ignores loopscope's module because of its option -{option}"))
    }

    /// Returns why nothing of asyncio is shown yet, or was shown until the end of the program.
    pub fn no_tasks_note(self, has_ended: bool) -> String {
        self.problem().unwrap_or_else(|| match has_ended {
            true => "no asyncio: the program ran no event loop (uvloop is not observed), or has another PYTHONPATH"
                .to_owned(),
            false => "no asyncio yet: the program has not run an event loop".to_owned(),
        })
    }
}

/// Returns the option among the arguments of Python by which it ignores the module.
fn ignoring_option(arguments: &[OsString]) -> Option<char> {
    let mut words = arguments.iter().map(OsString::as_os_str).map(OsStr::to_string_lossy);
    while let Some(word) = words.next() {
        let options = word.strip_prefix('-').filter(|options| !options.is_empty())?;
        if options.starts_with('-') {
            continue;
        }
        for (index, option) in options.char_indices() {
            match option {
                _ if IGNORING_OPTIONS.contains(option) => return Some(option),
                // The rest is code, or the name of a module.
                'c' | 'm' => return None,
                // These have a value.
                'W' | 'X' => {
                    if index + 1 == options.len() {
                        words.next();
                    }
                    break;
                }
                _ => {}
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(text: &str) -> Option<PythonCommand> {
        PythonCommand::of(&text.split(' ').map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn module_has_the_version_of_the_program() {
        let version = format!("PROBE_VERSION = \"{}\"", env!("CARGO_PKG_VERSION"));
        assert!(FILES.iter().any(|(name, text)| name.ends_with("_session.py") && text.contains(&version)));
    }

    #[test]
    fn options_that_ignore_the_module_are_found() {
        let cases = [
            ("python3 app.py", Some(None)),
            ("/usr/bin/python3.11 -I app.py", Some(Some('I'))),
            ("python -uE -m app", Some(Some('E'))),
            ("python3 -X dev -S app.py", Some(Some('S'))),
            ("python3 -Wignore -B app.py -I", Some(None)),
            ("python3 -X importtime", Some(None)),
            ("python3 -m pytest -S", Some(None)),
            ("python3 -c IES", Some(None)),
            ("python3 --check-hash-based-pycs -I -", Some(Some('I'))),
            ("python3", Some(None)),
            ("./app -I", None),
            ("pythonista -I", None),
        ];
        for (text, expected) in cases {
            assert_eq!(command(text).map(|python| python.ignoring_option), expected, "{text}");
        }
        let problem = command("python3 -S x.py").and_then(PythonCommand::problem).expect("a problem");
        assert!(problem.ends_with("its option -S"), "{problem}");
    }

    #[test]
    fn path_of_the_user_comes_after_the_module() {
        let path = |earlier: Option<&str>| with_earlier_path("/m".into(), earlier.map(Into::into));
        assert_eq!((path(None), path(Some("")), path(Some("/a:/b"))), ("/m".into(), "/m".into(), "/m:/a:/b".into()));
    }

    #[test]
    fn module_is_written_as_a_whole() {
        let folder = tempfile::tempdir().expect("create a temporary folder");
        let (name, path) = install(folder.path()).expect("a writable folder");
        assert_eq!(name, "PYTHONPATH");
        assert!(path.to_string_lossy().starts_with(&*folder.path().join("python").to_string_lossy()));
        for (file, text) in FILES {
            let written = std::fs::read_to_string(folder.path().join("python").join(file)).expect("a file");
            assert!(written == *text, "{file}");
        }
    }
}
