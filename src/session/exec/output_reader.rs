//! Splits a stream of the app's output into lines, as a terminal would show them.

use std::io::Read;

use crate::sanitize::visible_line;

/// Maximum size of one line in bytes. Longer lines are split.
const LINE_BYTES_MAX: usize = 1 << 20;

/// Size of one read in bytes.
const READ_BYTES: usize = 1 << 16;

/// A piece of output, without control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputPiece {
    /// A whole line.
    Line(String),
    /// The current text of a line that has no end yet, such as a prompt. It replaces the previous one; the line
    /// itself, or an empty text, ends it.
    Pending(String),
}

/// Reads `stream` to its end and calls `on_piece` for each piece. A line without an end is reported once `is_idle`
/// returns true: nothing more arrives for a while.
pub fn read_output<S: Read>(mut stream: S, is_idle: impl Fn(&S) -> bool, mut on_piece: impl FnMut(OutputPiece)) {
    let (mut line, mut buffer) = (Vec::new(), vec![0; READ_BYTES]);
    let mut is_shown = false;
    loop {
        if !line.is_empty() && !is_shown && is_idle(&stream) {
            on_piece(OutputPiece::Pending(visible_text(&line)));
            is_shown = true;
        }
        let count = match stream.read(&mut buffer) {
            Ok(count @ 1..) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Ok(0) | Err(_) => break,
        };
        for part in buffer[..count].split_inclusive(|byte| *byte == b'\n') {
            for part in part.chunks(LINE_BYTES_MAX) {
                if line.len() + part.len() > LINE_BYTES_MAX {
                    on_piece(OutputPiece::Line(visible_text(&line)));
                    line.clear();
                }
                line.extend_from_slice(part);
            }
            if line.ends_with(b"\n") {
                on_piece(OutputPiece::Line(visible_text(&line)));
                line.clear();
            }
        }
        discard_overwritten(&mut line);
        is_shown = false;
    }
    if !line.is_empty() {
        on_piece(OutputPiece::Line(visible_text(&line)));
    }
}

/// Removes the part of an unfinished line that a carriage return has overwritten, so that progress takes no memory.
fn discard_overwritten(line: &mut Vec<u8>) {
    let end = line.len() - line.iter().rev().take_while(|byte| **byte == b'\r').count();
    if let Some(at) = line[..end].iter().rposition(|byte| *byte == b'\r') {
        line.drain(..=at);
    }
}

/// Returns what a terminal shows of a line.
fn visible_text(line: &[u8]) -> String {
    visible_line(&String::from_utf8_lossy(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the pieces of these chunks, after each of which nothing more arrives for a while.
    fn pieces(chunks: &[&str]) -> Vec<OutputPiece> {
        /// Returns one chunk per read.
        struct Chunks<'a>(std::slice::Iter<'a, &'a str>);
        impl Read for Chunks<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                let chunk = self.0.next().map_or(&[][..], |chunk| chunk.as_bytes());
                buffer[..chunk.len()].copy_from_slice(chunk);
                Ok(chunk.len())
            }
        }
        let mut pieces = Vec::new();
        read_output(Chunks(chunks.iter()), |_| true, |piece| pieces.push(piece));
        pieces
    }

    fn line(text: &str) -> OutputPiece {
        OutputPiece::Line(text.to_owned())
    }

    fn pending(text: &str) -> OutputPiece {
        OutputPiece::Pending(text.to_owned())
    }

    #[test]
    fn lines_are_split_and_sanitized() {
        let long = "x".repeat((1 << 20) + 808);
        let text = format!("one\r\n\u{1b}[31mtwo\u{1b}[0m\u{7}\n{long}\n\nlast");
        let mut lines = Vec::new();
        read_output(text.as_bytes(), |_| false, |piece| lines.push(piece));
        assert_eq!(lines[..2], [line("one"), line("two\u{fffd}")]);
        let lengths = |piece: &OutputPiece| matches!(piece, OutputPiece::Line(text) if text.bytes().all(|x| x == b'x'));
        let long: Vec<_> = lines.iter().skip(2).take_while(|piece| lengths(piece)).collect();
        assert_eq!(long.len(), 3, "two parts of a long line, and an empty one");
        assert_eq!(lines[4..], [line(""), line("last")]);
    }

    #[test]
    fn prompt_is_shown_while_it_waits() {
        assert_eq!(
            pieces(&["name? ", "Bob\nnext", " one"]),
            [pending("name? "), line("name? Bob"), pending("next"), pending("next one"), line("next one"),]
        );
    }

    #[test]
    fn progress_overwrites_its_line() {
        let expected = [pending("10%"), pending("20%"), pending("30%"), line("done")];
        assert_eq!(pieces(&["\r10%", "\r20%", "\u{1b}[2K\r30%\r", "\r\u{1b}[Kdone\n"]), expected);
        let mut bar = b"1%\r2%\r3%\r".to_vec();
        discard_overwritten(&mut bar);
        assert_eq!(bar, b"3%\r");
    }
}
