//! Where a program listens: `http://HOST:PORT`, `HOST:PORT`, `PORT` or `unix:PATH`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where console-subscriber listens unless it is told otherwise.
pub const DEFAULT_ADDRESS: &str = "http://127.0.0.1:6669";

/// The port that goes with a host of which no other is said.
const DEFAULT_PORT: u16 = 6669;

/// Bytes of a name or path that is taken for an address.
const ADDRESS_BYTES_MAX: usize = 4_096;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// A name or number of the host, IPv6 without its brackets, and a port.
    Tcp {
        host: String,
        port: u16,
    },
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "http://[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "http://{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// What is wrong with an address, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("an address is expected, such as http://127.0.0.1:6669 or unix:/tmp/app.sock")]
    Empty,
    #[error("`{0}`: TLS is not spoken here, and console-subscriber does not either; give http://HOST:PORT")]
    Tls(String),
    #[error("`{address}`: `{scheme}` is not known; give http://HOST:PORT or unix:PATH")]
    Scheme { address: String, scheme: String },
    #[error("`{address}`: `{port}` is not a port; give a number from 1 to 65535")]
    Port { address: String, port: String },
    #[error("`{address}`: `{host}` is not a host; give a name such as localhost, 127.0.0.1 or [::1]")]
    Host { address: String, host: String },
    #[error("`{0}`: a path is expected after unix:, such as unix:/tmp/app.sock")]
    Path(String),
    #[error("`{0}`: nothing is expected after the port")]
    Rest(String),
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        if text.is_empty() || text.len() > ADDRESS_BYTES_MAX {
            return Err(AddressError::Empty);
        }
        if let Some(path) = text.strip_prefix("unix:") {
            // `unix:///path` is how others write it.
            let path = path.strip_prefix("//").filter(|path| path.starts_with('/')).unwrap_or(path);
            let is_path = !path.is_empty() && !path.ends_with('/') && !path.contains('\0');
            return if is_path { Ok(Self::Unix(path.into())) } else { Err(AddressError::Path(text.to_owned())) };
        }
        let place = match text.split_once("://") {
            Some(("http", place)) => place,
            Some(("https", _)) => return Err(AddressError::Tls(text.to_owned())),
            Some((scheme, _)) => {
                return Err(AddressError::Scheme { address: text.to_owned(), scheme: scheme.to_owned() });
            }
            None => text,
        };
        let place = place.strip_suffix('/').unwrap_or(place);
        if place.contains(['/', '?', '#']) {
            return Err(AddressError::Rest(text.to_owned()));
        }
        let (host, port) = host_and_port(place);
        let port = match port {
            None => DEFAULT_PORT,
            Some(port) => match port.parse() {
                // `+80` is a number, and no port.
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

/// The parts of `[::1]:80`, `host:80`, `host` and `80`.
fn host_and_port(place: &str) -> (Option<&str>, Option<&str>) {
    if let Some((host, rest)) = place.strip_prefix('[').and_then(|inside| inside.split_once(']')) {
        return match rest.strip_prefix(':') {
            Some(port) => (Some(host), Some(port)),
            None if rest.is_empty() => (Some(host), None),
            None => (Some(place), None),
        };
    }
    match place.rsplit_once(':') {
        // Several colons without brackets are an IPv6 address, which has no port then.
        Some((host, _)) if host.contains(':') => (Some(place), None),
        Some((host, port)) => (Some(host), Some(port)),
        None if !place.is_empty() && place.bytes().all(|byte| byte.is_ascii_digit()) => (None, Some(place)),
        None => (Some(place), None),
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
        text.parse::<Address>().map(|address| address.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn addresses_are_read_as_people_write_them() {
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
    fn what_is_no_address_says_what_would_be() {
        for (text, expected) in [
            ("", "an address is expected"),
            ("https://localhost:80", "TLS is not spoken here"),
            ("ftp://localhost:80", "`ftp` is not known"),
            ("localhost:http", "`http` is not a port"),
            ("localhost:0", "from 1 to 65535"),
            ("localhost:65536", "from 1 to 65535"),
            ("localhost:+80", "`+80` is not a port"),
            ("99999", "from 1 to 65535"),
            ("a b:80", "`a b` is not a host"),
            (":80", "`` is not a host"),
            ("[::1]x", "is not a host"),
            ("http://localhost:80/path", "nothing is expected after the port"),
            ("unix:", "a path is expected"),
            ("unix:/tmp/", "a path is expected"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
