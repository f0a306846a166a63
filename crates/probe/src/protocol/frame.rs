//! Frames: the kind and the payload of each message, and how they follow each other in a stream.

/// Kind of a frame from the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// [`Hello`](super::Hello), as JSON. The first frame.
    Hello = 1,
    /// Records of one thread: its id (4 bytes), then the records.
    Records = 2,
    /// [`Definition`](super::Definition), as JSON. It precedes every record that refers to it.
    Definition = 3,
    /// End of a round: ticks, and the nanoseconds of the monotonic clock at that time (8 bytes each). All records with
    /// smaller ticks were sent, except those that a thread was about to write.
    Round = 4,
    /// [`Reply`](super::Reply), as JSON.
    Reply = 5,
    /// The program ends. Empty.
    Bye = 6,
    /// [`Output`](super::Output), as JSON: a line that the program printed.
    Output = 7,
    /// Everything that lived when recording began has been sent. Empty.
    SnapshotEnd = 8,
    /// Records of one thread in another form: its id (4 bytes), then words of 8 bytes. Each record is a head (its kind in
    /// the lowest 8 bits, the number of its arguments in the next 8), its time, its subject and its arguments. All times
    /// are nanoseconds of the monotonic clock. Only for streams with 1,000,000,000 ticks per second.
    Words = 9,
}

impl FrameKind {
    /// Returns the kind with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Hello,
            2 => Self::Records,
            3 => Self::Definition,
            4 => Self::Round,
            5 => Self::Reply,
            6 => Self::Bye,
            7 => Self::Output,
            8 => Self::SnapshotEnd,
            9 => Self::Words,
            _ => return None,
        })
    }
}

/// Kind of a frame to the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum CommandKind {
    /// [`Start`](super::Start), as JSON. The first frame; nothing is recorded for loopscope before it.
    Start = 1,
    /// [`Command`](super::Command), as JSON.
    Command = 2,
}

impl CommandKind {
    /// Returns the kind with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Start,
            2 => Self::Command,
            _ => return None,
        })
    }
}

/// Appends a frame with this payload to `out`.
pub fn write_frame(kind: u8, payload: &[u8], out: &mut Vec<u8>) {
    write_frame_head(kind, payload.len(), out);
    out.extend_from_slice(payload);
}

/// Appends the head of a frame to `out`. Its payload of this many bytes must follow.
pub(crate) fn write_frame_head(kind: u8, payload_bytes: usize, out: &mut Vec<u8>) {
    // Every caller's payload is far below 4 GiB; readers reject longer frames than the maximum anyway.
    let length = u32::try_from(payload_bytes + 1).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_le_bytes());
    out.push(kind);
}

/// A frame: its kind, and its payload.
pub type Frame<'a> = (u8, &'a [u8]);

/// Splits the first frame off `bytes`, which holds frames of at most `bytes_max` bytes. Returns kind, payload and rest;
/// `None` if the frame is not complete yet.
///
/// # Errors
/// Returns the length of a frame that is empty or too long.
pub fn split_frame(bytes: &[u8], bytes_max: usize) -> Result<Option<(Frame<'_>, &[u8])>, u32> {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_le_bytes(*length);
    let bytes_needed = usize::try_from(length).unwrap_or(usize::MAX);
    if bytes_needed == 0 || bytes_needed > bytes_max {
        return Err(length);
    }
    let Some((frame, rest)) = rest.split_at_checked(bytes_needed) else { return Ok(None) };
    let (&kind, payload) = frame.split_first().unwrap_or((&0, &[]));
    Ok(Some(((kind, payload), rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_what_was_written() {
        let mut bytes = Vec::new();
        write_frame(FrameKind::Bye as u8, &[], &mut bytes);
        write_frame(FrameKind::Records as u8, b"abc", &mut bytes);
        let (frame, rest) = split_frame(&bytes, 8).expect("valid").expect("complete");
        assert_eq!((frame, rest.len()), ((FrameKind::Bye as u8, &[][..]), 8));
        assert_eq!(split_frame(rest, 8), Ok(Some(((FrameKind::Records as u8, &b"abc"[..]), &[][..]))));
        for cut in 0..rest.len() {
            assert_eq!(split_frame(&rest[..cut], 8), Ok(None), "{cut} bytes");
        }
        assert_eq!(split_frame(rest, 3), Err(4), "too long");
        assert_eq!(split_frame(&[0; 5], 3), Err(0), "empty");
    }
}
