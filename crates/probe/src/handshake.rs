//! How the peer of a TCP connection proves that it knows the secret, before anything else is sent.
//!
//! loopscope sends [`OPENING`] and a nonce, the program another nonce, loopscope its [`proof`], and the program its own.
//! The secret itself is never sent. `docs/protocol.md` in the repository describes it.
//!
//! ```
//! use loopscope_probe::handshake::{Side, is_equal, proof};
//!
//! let nonces = [[1; 32], [2; 32]];
//! let expected = proof(b"0123456789abcdef", Side::Loopscope, &nonces);
//! assert!(is_equal(&expected, &proof(b"0123456789abcdef", Side::Loopscope, &nonces)));
//! assert!(!is_equal(&expected, &proof(b"another secret!!", Side::Loopscope, &nonces)));
//! ```

use std::io::{self, ErrorKind, Read};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Instant;

use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// First bytes that loopscope sends; the last one is the version.
pub const OPENING: &[u8; 8] = b"LSPROOF\x01";

/// Bytes of a nonce.
pub const NONCE_BYTES: usize = 32;

/// Bytes of a proof.
pub const PROOF_BYTES: usize = 32;

/// Shortest secret, in bytes.
pub const SECRET_BYTES_MIN: usize = 16;

/// Longest secret, in bytes.
pub const SECRET_BYTES_MAX: usize = 4_096;

/// Environment variable with the address on which a program listens, `HOST:PORT`.
pub const ADDRESS_VARIABLE: &str = "LOOPSCOPE_PROBE_TCP";

/// Environment variable with the secret of TCP connections, for the program and for loopscope.
pub const SECRET_VARIABLE: &str = "LOOPSCOPE_PROBE_TCP_SECRET";

/// Environment variable with the path of a file that holds the secret of TCP connections.
pub const SECRET_FILE_VARIABLE: &str = "LOOPSCOPE_PROBE_TCP_SECRET_FILE";

/// Who proves that it knows the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// loopscope, which connects.
    Loopscope,
    /// The program, which listens.
    Program,
}

impl Side {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Loopscope => b"loopscope\0",
            Self::Program => b"program\0",
        }
    }
}

/// Returns the proof of one side: HMAC-SHA256 with the secret, over the side's name, a zero byte, the nonce of loopscope
/// and the nonce of the program.
pub fn proof(secret: &[u8], side: Side, nonces: &[[u8; NONCE_BYTES]; 2]) -> [u8; PROOF_BYTES] {
    let Ok(code) = Hmac::<Sha256>::new_from_slice(secret) else { unreachable!("HMAC takes keys of any length") };
    [side.label(), &nonces[0], &nonces[1]].into_iter().fold(code, Mac::chain_update).finalize().into_bytes().into()
}

/// Returns random bytes for one connection.
///
/// # Errors
/// Fails if the system has none.
pub fn new_nonce() -> io::Result<[u8; NONCE_BYTES]> {
    let mut nonce = [0; NONCE_BYTES];
    match rustix::rand::getrandom(&mut nonce[..], rustix::rand::GetRandomFlags::empty())? {
        NONCE_BYTES => Ok(nonce),
        count => Err(io::Error::other(format!("only {count} random bytes"))),
    }
}

/// Reads bytes until `deadline`, however slowly they arrive.
///
/// # Errors
/// Fails if the connection ends or fails before, or with [`ErrorKind::TimedOut`] at the deadline.
pub fn read_array<const COUNT: usize>(mut stream: &TcpStream, deadline: Instant) -> io::Result<[u8; COUNT]> {
    let mut bytes = [0; COUNT];
    let mut received = 0;
    while received < COUNT {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut bytes[received..]) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(read) => received += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}

/// Compares two values in a time that does not depend on where they differ.
pub fn is_equal(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// Checks the length of a secret.
///
/// # Errors
/// Returns a message for the user if it is too short or too long.
pub fn check_secret(secret: &[u8]) -> Result<(), String> {
    match secret.len() {
        SECRET_BYTES_MIN..=SECRET_BYTES_MAX => Ok(()),
        0 => Err("the secret is empty".to_owned()),
        count => Err(format!("the secret has {count} bytes, but must have {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX}")),
    }
}

/// Reads a secret from a file. Spaces and line ends around it do not belong to it.
///
/// # Errors
/// Returns a message for the user if the file cannot be read, or if the secret is too short or too long.
pub fn read_secret(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(SECRET_BYTES_MAX as u64 * 2).read_to_end(&mut bytes))
        .map_err(|error| format!("cannot read the secret from `{}`: {error}", path.display()))?;
    let secret = bytes.trim_ascii().to_vec();
    check_secret(&secret).map_err(|problem| format!("`{}`: {problem}", path.display()))?;
    Ok(secret)
}

/// Returns the secret that [`SECRET_VARIABLE`] holds, or else the file that [`SECRET_FILE_VARIABLE`] names; `None` without
/// either.
///
/// # Errors
/// Returns a message for the user if the file cannot be read, or if the secret is too short or too long.
pub fn secret_of_environment() -> Result<Option<Vec<u8>>, String> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(secret) = variable(SECRET_VARIABLE) {
        let secret = secret.into_encoded_bytes().trim_ascii().to_vec();
        check_secret(&secret).map_err(|problem| format!("{SECRET_VARIABLE}: {problem}"))?;
        return Ok(Some(secret));
    }
    variable(SECRET_FILE_VARIABLE).map(|path| read_secret(&PathBuf::from(path))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"0123456789abcdef";

    #[test]
    fn a_proof_depends_on_everything() {
        let nonces = [[1; NONCE_BYTES], [2; NONCE_BYTES]];
        let expected = proof(SECRET, Side::Loopscope, &nonces);
        let mut others = vec![
            proof(SECRET, Side::Program, &nonces),
            proof(SECRET, Side::Loopscope, &[nonces[1], nonces[0]]),
            proof(b"0123456789abcdeg", Side::Loopscope, &nonces),
        ];
        others.sort_unstable();
        others.dedup();
        assert_eq!(others.len(), 3);
        assert!(others.iter().all(|other| !is_equal(other, &expected)) && is_equal(&expected, &expected));
        assert!(!is_equal(b"secre", b"secret") && !is_equal(b"", b"secret") && !is_equal(b"secret", b"secres"));
        assert_ne!(new_nonce().expect("random"), new_nonce().expect("random"));
    }

    /// The message of a proof as it is on the wire, under the code that Python's `hmac` gives for it.
    #[test]
    fn a_proof_is_the_code_of_the_standard() {
        let nonces = [[1; NONCE_BYTES], [2; NONCE_BYTES]];
        let hex = |bytes: [u8; PROOF_BYTES]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(
            hex(proof(SECRET, Side::Loopscope, &nonces)),
            "70b73d4ffb28064831b9fc2ea7c74393db8477ec90c6022d7c64e1b54ff24e4b"
        );
        assert_eq!(
            hex(proof(SECRET, Side::Program, &nonces)),
            "37ca519d68cc2bbc1801205028b28dde8b884a05bcd3fe8140d0887ff6fcff73"
        );
    }

    #[test]
    fn secrets_of_a_bad_length_are_refused() {
        for bad in [0, 1, 15, SECRET_BYTES_MAX + 1] {
            assert!(check_secret(&vec![b'a'; bad]).is_err(), "{bad} bytes");
        }
        assert!([16, 17, SECRET_BYTES_MAX].iter().all(|good| check_secret(&vec![b'a'; *good]).is_ok()));
        let file = tempfile::NamedTempFile::new().expect("file");
        std::fs::write(file.path(), "  0123456789abcdef \r\n").expect("written");
        assert_eq!(read_secret(file.path()).expect("secret"), SECRET);
        std::fs::write(file.path(), "0123456789abcde\n").expect("written");
        assert!(read_secret(file.path()).expect_err("too short").contains("15 bytes"));
        assert!(read_secret(Path::new("/dev/zero")).is_err());
        assert!(read_secret(Path::new("/nonexistent")).expect_err("missing").contains("/nonexistent"));
    }
}
