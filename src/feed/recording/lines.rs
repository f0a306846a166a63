//! From bytes, in whatever pieces they come, to whole lines of bounded length.

/// Bytes of the longest line that is taken for one; console-subscriber's own are a few hundred.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// See the module.
#[derive(Debug, Default)]
pub struct Lines {
    /// The beginning of a line whose end has not come yet.
    partial: Vec<u8>,
    /// What comes next, up to the end of a line, is of no use.
    skips: bool,
    /// Lines that came to their end so far: the number of the last one, from 1.
    number: u64,
}

/// One line, or what stands for one.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    Line(&'a [u8]),
    TooLong,
}

impl Lines {
    /// Takes the first line out of `bytes`, together with what came before. Returns what is left of them; `None` where
    /// no line ended in them, and then they are kept.
    pub fn next<'a, R>(
        &mut self,
        bytes: &'a [u8],
        told: impl FnOnce(u64, Piece) -> R,
    ) -> Option<(&'a [u8], Option<R>)> {
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            self.keep(bytes);
            return None;
        };
        let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
        self.number += 1;
        if std::mem::take(&mut self.skips) {
            self.partial.clear();
            return Some((rest, None));
        }
        let told = if self.partial.len() + line.len() > LINE_BYTES_MAX {
            told(self.number, Piece::TooLong)
        } else if self.partial.is_empty() {
            told(self.number, Piece::Line(trimmed(line)))
        } else {
            self.partial.extend_from_slice(line);
            told(self.number, Piece::Line(trimmed(&self.partial)))
        };
        self.forget_partial();
        Some((rest, Some(told)))
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.skips {
            return;
        }
        // One byte more than is allowed is enough to know that it is too long.
        let room = (LINE_BYTES_MAX + 1).saturating_sub(self.partial.len());
        self.partial.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn forget_partial(&mut self) {
        self.partial.clear();
        if self.partial.capacity() > LINE_BYTES_MAX / 16 {
            self.partial = Vec::new();
        }
    }

    /// Bytes are missing from here on, and with them `lines` ends of lines: the next one is not whole.
    pub fn miss(&mut self, lines: u64) {
        self.number += lines;
        self.partial.clear();
        self.skips = true;
    }

    /// The last line, without an end, where that is not a cut off one.
    pub fn unfinished(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.partial)
    }

    /// The number of the last line, from 1; 0 before the first.
    pub fn number(&self) -> u64 {
        self.number
    }
}

/// Without the carriage return of a file that went through another system.
fn trimmed(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(pieces: &[&[u8]]) -> (Vec<String>, Lines) {
        let (mut lines, mut told) = (Lines::default(), Vec::new());
        for mut bytes in pieces.iter().copied() {
            while let Some((rest, line)) = lines.next(bytes, |number, piece| match piece {
                Piece::Line(line) => format!("{number}:{}", String::from_utf8_lossy(line)),
                Piece::TooLong => format!("{number}:too long"),
            }) {
                told.extend(line);
                bytes = rest;
            }
        }
        (told, lines)
    }

    #[test]
    fn lines_are_the_same_in_whatever_pieces_they_come() {
        let text = b"one\r\ntwo\n\nfour\nfi";
        let whole = all(&[text]).0;
        assert_eq!(whole, ["1:one", "2:two", "3:", "4:four"]);
        for cut in 0..text.len() {
            let (left, right) = text.split_at(cut);
            let (told, mut lines) = all(&[left, right]);
            assert_eq!((told, lines.unfinished()), (whole.clone(), b"fi".to_vec()), "cut at {cut}");
        }
    }

    #[test]
    fn an_endless_line_takes_no_endless_memory_and_is_told_once() {
        let many = vec![b'x'; 3 * LINE_BYTES_MAX];
        let (told, lines) = all(&[&many, &many, b"\nshort\n"]);
        assert_eq!(told, ["1:too long", "2:short"]);
        assert!(lines.partial.capacity() <= LINE_BYTES_MAX);
    }

    #[test]
    fn after_missing_bytes_the_rest_of_a_line_is_left_out() {
        let (_, mut lines) = all(&[b"one\ntw"]);
        lines.miss(3);
        let (rest, told) = lines.next(b"est\nsix\n", |_, _| ()).expect("a line ends");
        assert_eq!((rest, told), (b"six\n".as_slice(), None));
        assert_eq!(lines.number(), 5);
    }
}
