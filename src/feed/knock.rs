//! Knocking at an address: what kind of server answers there, told from the first bytes that it says.
//!
//! A gRPC client that finds something else there says little that helps a person. So the greeting of HTTP/2 is sent
//! once over a plain connection, and what comes back is looked at.

use std::io::{self, ErrorKind};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// How long an answer may take to come.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// What begins every HTTP/2 connection, and an empty frame of settings.
const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";

/// Bytes of an answer that are looked at.
const ANSWER_BYTES: usize = 9;

/// Who answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A server of HTTP/2, which gRPC is spoken over.
    Http2,
    Http1,
    /// A server that wants an encrypted connection.
    Tls,
    /// It took the connection and closed it without a word.
    Closed,
    /// It took the connection and said nothing for [`PATIENCE`].
    Nothing,
    /// It said something of no protocol that is known here.
    Other,
}

impl Answer {
    /// What is at the address, for a person: `an HTTP/1 server`.
    pub fn what(self) -> &'static str {
        match self {
            Self::Http2 => "an HTTP/2 server",
            Self::Http1 => "an HTTP/1 server, which cannot speak gRPC",
            Self::Tls => "a server that wants an encrypted connection, which no tokio console is",
            Self::Closed => "something that closes the connection at once",
            Self::Nothing => "something that takes the connection and says nothing",
            Self::Other => "something that speaks neither HTTP nor gRPC",
        }
    }
}

/// Says the greeting on a fresh connection and waits for the first bytes of the answer.
///
/// # Errors
/// Where the connection breaks other than by being closed.
pub async fn knock(mut connection: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<Answer> {
    match tokio::time::timeout(PATIENCE, answer(&mut connection)).await {
        Err(_) => Ok(Answer::Nothing),
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
            Ok(Answer::Closed)
        }
        Ok(Err(error)) => Err(error),
    }
}

async fn answer(connection: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<Answer> {
    connection.write_all(GREETING).await?;
    let mut bytes = [0; ANSWER_BYTES];
    let mut read = 0;
    while read < ANSWER_BYTES {
        match connection.read(&mut bytes[read..]).await? {
            0 => break,
            more => read += more,
        }
        // Some answers are shorter than a frame's head, and their sender then waits.
        if let Some(answer) = told(&bytes[..read]) {
            return Ok(answer);
        }
    }
    Ok(if read == 0 { Answer::Closed } else { told(&bytes[..read]).unwrap_or(Answer::Other) })
}

/// Who begins like this, as soon as it is certain.
fn told(bytes: &[u8]) -> Option<Answer> {
    /// The type of a settings frame, with which every HTTP/2 server begins.
    const SETTINGS: u8 = 4;
    /// A TLS alert, which is what a TLS server says to a greeting that it cannot read.
    const ALERT: u8 = 0x15;
    match bytes {
        [ALERT, 3, ..] => Some(Answer::Tls),
        bytes if bytes.starts_with(b"HTTP/1.") => Some(Answer::Http1),
        [_, _, low, SETTINGS, 0, 0, 0, 0, 0] if low % 6 == 0 => Some(Answer::Http2),
        bytes if bytes.len() == ANSWER_BYTES => Some(Answer::Other),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a server that says `words` and then closes, or waits, is taken for.
    fn taken_for(words: &'static [u8], closes: bool) -> Answer {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.expect("a runtime can be made").block_on(async {
            let (ours, mut theirs) = tokio::io::duplex(1024);
            let server = async {
                let mut greeting = vec![0; GREETING.len()];
                theirs.read_exact(&mut greeting).await.expect("it is greeted");
                theirs.write_all(words).await.expect("it can answer");
                if !closes {
                    std::future::pending::<()>().await;
                }
                drop(theirs);
            };
            tokio::select! {
                answer = knock(ours) => answer.expect("a pipe does not break"),
                () = async { server.await; std::future::pending().await } => unreachable!("knocking ends"),
            }
        })
    }

    #[test]
    fn who_answers_is_told_by_the_first_bytes() {
        assert_eq!(taken_for(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03", false), Answer::Http2);
        assert_eq!(taken_for(b"HTTP/1.1 400 Bad Request\r\n\r\n", true), Answer::Http1);
        assert_eq!(taken_for(b"\x15\x03\x01\x00\x02\x02\x46", true), Answer::Tls);
        assert_eq!(taken_for(b"", true), Answer::Closed);
        assert_eq!(taken_for(b"", false), Answer::Nothing);
        assert_eq!(taken_for(b"220 mail ready\r\n", false), Answer::Other);
        assert_eq!(taken_for(b"-ERR\r\n", true), Answer::Other);
        assert_eq!(taken_for(b"-ERR\r\n", false), Answer::Nothing, "too little to tell, and then nothing");
    }
}
