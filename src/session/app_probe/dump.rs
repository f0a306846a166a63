//! Saves the flight recording of a program.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use loopscope_probe::PeerStream;
use loopscope_probe::protocol::{CommandKind, FILE_MAGIC, Start, VERSION, write_frame};

use super::discovery::read_hello;
use crate::feed::app_probe::AppProbeDecoder;

/// Largest flight recording in bytes.
const BYTES_MAX: u64 = 4 << 30;

/// How long the program may send nothing.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Asks a program for its flight recording and writes it to `path`. Returns its size in bytes.
///
/// # Errors
/// Returns a message for the user if the program does not answer or has no flight recording, or if the file cannot be
/// written.
pub fn save_flight_recording(socket: &PeerStream, path: &Path) -> Result<u64, String> {
    let write_error = |error: io::Error| format!("cannot write to `{}`: {error}", path.display());
    let hello = read_hello(socket, Instant::now() + SILENCE_MAX)?;
    let start = Start { protocol: VERSION, secret: None, dump: true };
    let payload = serde_json::to_vec(&start).map_err(|error| error.to_string())?;
    let mut frame = Vec::new();
    write_frame(CommandKind::Start as u8, &payload, &mut frame);
    (&mut &*socket).write_all(&frame).map_err(|error| error.to_string())?;
    let mut start = FILE_MAGIC.to_vec();
    let description = serde_json::to_vec(&*hello).map_err(|error| error.to_string())?;
    write_frame(loopscope_probe::protocol::FrameKind::Hello as u8, &description, &mut start);
    // The file appears only once it is complete.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = tempfile::NamedTempFile::new_in(folder).map_err(write_error)?;
    let received = receive(socket, &start, file.as_file(), &write_error)?;
    file.persist(path).map_err(|error| write_error(error.error))?;
    Ok(received)
}

/// Copies the frames to `file` and checks them.
fn receive(
    mut socket: &PeerStream,
    start: &[u8],
    file: &File,
    write_error: &impl Fn(io::Error) -> String,
) -> Result<u64, String> {
    let mut output = BufWriter::new(file);
    let mut decoder = AppProbeDecoder::of_file();
    decoder.push(start).map_err(|error| error.to_string())?;
    output.write_all(start).map_err(write_error)?;
    socket.set_read_timeout(Some(SILENCE_MAX)).map_err(|error| error.to_string())?;
    let mut received = 0_u64;
    let (mut buffer, mut events) = (vec![0; 64 << 10], Vec::new());
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                received += read as u64;
                if received > BYTES_MAX {
                    return Err("the flight recording is too long".to_owned());
                }
                decoder.push(&buffer[..read]).map_err(|error| error.to_string())?;
                while decoder.replay(usize::MAX, &mut events) {}
                events.clear();
                output.write_all(&buffer[..read]).map_err(write_error)?;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(format!("the app does not send its flight recording: {error}")),
        }
    }
    if let Some(error) = decoder.take_reply().and_then(|reply| reply.error) {
        return Err(error);
    }
    if received == 0 {
        return Err("the app has no flight recording: it records only while loopscope is attached".to_owned());
    }
    output.flush().map_err(write_error)?;
    Ok(start.len() as u64 + received)
}
