//! Splits input that arrives in pieces into whole lines of bounded length.

/// Longest line accepted, in bytes; console-subscriber's are a few hundred.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// Splits input into lines, buffering an incomplete one.
#[derive(Debug, Default)]
pub struct LineSplitter {
    /// The beginning of a line whose end has not arrived.
    partial: Vec<u8>,
    /// Skip everything up to the next line end.
    is_skipping: bool,
    /// Number of the last complete line, from 1.
    number: u64,
}

/// One line, or a placeholder for it.
#[derive(Debug, PartialEq, Eq)]
pub enum SplitLine<'a> {
    /// The line without its end.
    Complete(&'a [u8]),
    /// The line exceeds [`LINE_BYTES_MAX`].
    TooLong,
}

impl LineSplitter {
    /// Passes the first line of `bytes`, with what was buffered before it, to `result`. Returns the rest of `bytes`; if
    /// they hold no line end, buffers them and returns `None`.
    pub fn next_line<'a, R>(
        &mut self,
        bytes: &'a [u8],
        handle: impl FnOnce(u64, SplitLine) -> R,
    ) -> Option<(&'a [u8], Option<R>)> {
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            self.buffer(bytes);
            return None;
        };
        let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
        self.number += 1;
        if std::mem::take(&mut self.is_skipping) {
            self.partial.clear();
            return Some((rest, None));
        }
        let result = if self.partial.len() + line.len() > LINE_BYTES_MAX {
            handle(self.number, SplitLine::TooLong)
        } else if self.partial.is_empty() {
            handle(self.number, SplitLine::Complete(trimmed(line)))
        } else {
            self.partial.extend_from_slice(line);
            handle(self.number, SplitLine::Complete(trimmed(&self.partial)))
        };
        self.clear_partial();
        Some((rest, Some(result)))
    }

    fn buffer(&mut self, bytes: &[u8]) {
        if self.is_skipping {
            return;
        }
        // One byte past the limit is enough to detect an oversized line.
        let free_bytes = (LINE_BYTES_MAX + 1).saturating_sub(self.partial.len());
        self.partial.extend_from_slice(&bytes[..bytes.len().min(free_bytes)]);
    }

    fn clear_partial(&mut self) {
        self.partial.clear();
        if self.partial.capacity() > LINE_BYTES_MAX / 16 {
            self.partial = Vec::new();
        }
    }

    /// Skips to the next line end, because bytes with `lines` line ends are missing here.
    pub fn skip_missing(&mut self, lines: u64) {
        self.number += lines;
        self.partial.clear();
        self.is_skipping = true;
    }

    /// Takes the buffered line without an end.
    pub fn take_unfinished(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.partial)
    }

    /// Returns the number of the last line, from 1; 0 before the first.
    pub fn line_number(&self) -> u64 {
        self.number
    }
}

/// Strips the carriage return of a file with DOS line ends.
fn trimmed(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(pieces: &[&[u8]]) -> (Vec<String>, LineSplitter) {
        let (mut lines, mut result) = (LineSplitter::default(), Vec::new());
        for mut bytes in pieces.iter().copied() {
            while let Some((rest, line)) = lines.next_line(bytes, |number, piece| match piece {
                SplitLine::Complete(line) => format!("{number}:{}", String::from_utf8_lossy(line)),
                SplitLine::TooLong => format!("{number}:too long"),
            }) {
                result.extend(line);
                bytes = rest;
            }
        }
        (result, lines)
    }

    #[test]
    fn splits_equally_at_any_piece_size() {
        let text = b"one\r\ntwo\n\nfour\nfi";
        let whole = all(&[text]).0;
        assert_eq!(whole, ["1:one", "2:two", "3:", "4:four"]);
        for cut in 0..text.len() {
            let (left, right) = text.split_at(cut);
            let (result, mut lines) = all(&[left, right]);
            assert_eq!((result, lines.take_unfinished()), (whole.clone(), b"fi".to_vec()), "cut at {cut}");
        }
    }

    #[test]
    fn oversized_line_is_bounded_and_reported_once() {
        let many = vec![b'x'; 3 * LINE_BYTES_MAX];
        let (result, lines) = all(&[&many, &many, b"\nshort\n"]);
        assert_eq!(result, ["1:too long", "2:short"]);
        assert!(lines.partial.capacity() <= LINE_BYTES_MAX);
    }

    #[test]
    fn skips_rest_of_line_after_missing_bytes() {
        let (_, mut lines) = all(&[b"one\ntw"]);
        lines.skip_missing(3);
        let (rest, result) = lines.next_line(b"est\nsix\n", |_, _| ()).expect("a line ends");
        assert_eq!((rest, result), (b"six\n".as_slice(), None));
        assert_eq!(lines.line_number(), 5);
    }
}
