//! Parses addresses of a console: `http://HOST:PORT`, `HOST:PORT`, `PORT` or `unix:PATH`.
//!
//! ```
//! use loopscope::feed::wire::ConsoleAddress;
//!
//! let address: ConsoleAddress = "7000".parse()?;
//! assert_eq!(address.to_string(), "http://127.0.0.1:7000");
//! assert!("https://127.0.0.1:7000".parse::<ConsoleAddress>().is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where console-subscriber listens by default.
pub const DEFAULT_ADDRESS: &str = "http://127.0.0.1:6669";

/// Port used if an address has none.
const DEFAULT_PORT: u16 = 6669;

/// Longest address accepted, in bytes.
const ADDRESS_BYTES_MAX: usize = 4_096;

/// Address of a console.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ConsoleAddress {
    /// A TCP port.
    Tcp {
        /// Host name or IP address; IPv6 without brackets.
        host: String,
        /// Port number.
        port: u16,
    },
    /// Path of a Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for ConsoleAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "http://[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "http://{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Why an address is invalid, and what is valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It is empty or too long.
    #[error("empty or oversized address; help: use http://HOST:PORT or unix:PATH, for example http://127.0.0.1:6669")]
    Empty,
    /// It is an `https` URL.
    #[error("`{0}`: TLS is not supported, and console-subscriber does not use it; help: use http://HOST:PORT")]
    Tls(String),
    /// It has an unknown scheme.
    #[error("`{address}`: unknown scheme `{scheme}`; help: use http://HOST:PORT or unix:PATH")]
    Scheme { address: String, scheme: String },
    /// Its port is not a number from 1 to 65535.
    #[error("`{address}`: invalid port `{port}`; help: use a number from 1 to 65535")]
    Port { address: String, port: String },
    /// Its host is not a name or IP address.
    #[error("`{address}`: invalid host `{host}`; help: use a name such as localhost, 127.0.0.1 or [::1]")]
    Host { address: String, host: String },
    /// It has no path after `unix:`.
    #[error("`{0}`: missing path after unix:; help: use a path such as unix:/tmp/app.sock")]
    Path(String),
    /// It has no process id after `pid:`.
    #[error("`{0}`: invalid process id after pid:; help: use a number such as pid:1234")]
    Process(String),
    /// It is no host with a port after `probe://`.
    #[error("`{0}`: invalid address of a probe; help: use probe://HOST:PORT, for example probe://127.0.0.1:7000")]
    Probe(String),
    /// Something follows the port.
    #[error("`{0}`: unexpected text after the port; help: use http://HOST:PORT")]
    Trailing(String),
}

impl FromStr for ConsoleAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        if text.is_empty() || text.len() > ADDRESS_BYTES_MAX {
            return Err(AddressError::Empty);
        }
        if let Some(path) = text.strip_prefix("unix:") {
            // `unix:///path` is common, too.
            let path = path.strip_prefix("//").filter(|path| path.starts_with('/')).unwrap_or(path);
            let is_path = !path.is_empty() && !path.ends_with('/') && !path.contains('\0');
            return if is_path { Ok(Self::Unix(path.into())) } else { Err(AddressError::Path(text.to_owned())) };
        }
        let authority = match text.split_once("://") {
            Some(("http", authority)) => authority,
            Some(("https", _)) => return Err(AddressError::Tls(text.to_owned())),
            Some((scheme, _)) => {
                return Err(AddressError::Scheme { address: text.to_owned(), scheme: scheme.to_owned() });
            }
            None => text,
        };
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        if authority.contains(['/', '?', '#']) {
            return Err(AddressError::Trailing(text.to_owned()));
        }
        let (host, port) = host_and_port(authority);
        let port = match port {
            None => DEFAULT_PORT,
            Some(port) => match port.parse() {
                // `+80` parses as a number, but is no port.
                Ok(number) if number > 0 && port.bytes().all(|byte| byte.is_ascii_digit()) => number,
                _ => return Err(AddressError::Port { address: text.to_owned(), port: port.to_owned() }),
            },
        };
        let host = host.unwrap_or("127.0.0.1");
        if !is_host(host) {
            return Err(AddressError::Host { address: text.to_owned(), host: host.to_owned() });
        }
        Ok(Self::Tcp { host: host.to_owned(), port })
    }
}

/// Splits `[::1]:80`, `host:80`, `host` and `80`.
fn host_and_port(authority: &str) -> (Option<&str>, Option<&str>) {
    if let Some((host, rest)) = authority.strip_prefix('[').and_then(|inside| inside.split_once(']')) {
        return match rest.strip_prefix(':') {
            Some(port) => (Some(host), Some(port)),
            None if rest.is_empty() => (Some(host), None),
            None => (Some(authority), None),
        };
    }
    match authority.rsplit_once(':') {
        // Several colons without brackets are an IPv6 address without a port.
        Some((host, _)) if host.contains(':') => (Some(authority), None),
        Some((host, port)) => (Some(host), Some(port)),
        None if !authority.is_empty() && authority.bytes().all(|byte| byte.is_ascii_digit()) => (None, Some(authority)),
        None => (Some(authority), None),
    }
}

fn is_host(host: &str) -> bool {
    let is_name =
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
    is_name || host.parse::<std::net::Ipv6Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        text.parse::<ConsoleAddress>().map(|address| address.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn parses_every_form_of_address() {
        for (text, expected) in [
            (DEFAULT_ADDRESS, DEFAULT_ADDRESS),
            ("http://localhost:80/", "http://localhost:80"),
            ("localhost:80", "http://localhost:80"),
            ("my-host_1.example", "http://my-host_1.example:6669"),
            ("7000", "http://127.0.0.1:7000"),
            ("http://[::1]:7000", "http://[::1]:7000"),
            ("[::1]", "http://[::1]:6669"),
            ("::1", "http://[::1]:6669"),
            ("unix:/tmp/a b.sock", "unix:/tmp/a b.sock"),
            ("unix:///tmp/a.sock", "unix:/tmp/a.sock"),
            ("unix:a.sock", "unix:a.sock"),
            (" 127.0.0.1:6669 ", DEFAULT_ADDRESS),
        ] {
            assert_eq!(read(text), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn errors_name_what_is_valid() {
        for (text, expected) in [
            ("", "empty or oversized address"),
            ("https://localhost:80", "TLS is not supported"),
            ("ftp://localhost:80", "unknown scheme `ftp`"),
            ("localhost:http", "invalid port `http`"),
            ("localhost:0", "from 1 to 65535"),
            ("localhost:65536", "from 1 to 65535"),
            ("localhost:+80", "invalid port `+80`"),
            ("99999", "from 1 to 65535"),
            ("a b:80", "invalid host `a b`"),
            (":80", "invalid host ``"),
            ("[::1]x", "invalid host"),
            ("http://localhost:80/path", "unexpected text after the port"),
            ("unix:", "missing path"),
            ("unix:/tmp/", "missing path"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
