//! The lines that make up nearly all of a recording, read in the exact form in which console-subscriber writes them.
//!
//! A general parser of JSON spends most of its time on what such a line could be and is not. Whatever differs from
//! this form by a byte is left to it.

use super::line::{Line, Stamp, WakerOp};

/// What is left of a line.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn take(&mut self, text: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(text)?;
        Some(())
    }

    /// A whole number as JSON has it: no sign, no leading zero. Up to eighteen digits, which no sum can overflow.
    fn number(&mut self) -> Option<u64> {
        const DIGITS_MAX: usize = 18;
        let digits = self.0.iter().take(DIGITS_MAX + 1).take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 || digits > DIGITS_MAX || (digits > 1 && self.0[0] == b'0') {
            return None;
        }
        let (number, rest) = self.0.split_at(digits);
        self.0 = rest;
        Some(number.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
    }

    /// The stamp, and the end of the line after it.
    fn at(&mut self) -> Option<Stamp> {
        self.take(b",\"at\":{\"secs_since_epoch\":")?;
        let seconds = self.number()?;
        self.take(b",\"nanos_since_epoch\":")?;
        let nanos = u32::try_from(self.number()?).ok()?;
        (self.0 == b"}}}").then(|| Stamp::new(seconds, nanos))
    }

    fn op(&mut self) -> Option<WakerOp> {
        let ops: [(&[u8], WakerOp); 6] = [
            (b"\"Clone\"", WakerOp::Clone),
            (b"\"Drop\"", WakerOp::Drop),
            (b"{\"WakeByRef\":{\"self_wake\":false}}", WakerOp::WakeByRef { self_wake: false }),
            (b"{\"Wake\":{\"self_wake\":false}}", WakerOp::Wake { self_wake: false }),
            (b"{\"WakeByRef\":{\"self_wake\":true}}", WakerOp::WakeByRef { self_wake: true }),
            (b"{\"Wake\":{\"self_wake\":true}}", WakerOp::Wake { self_wake: true }),
        ];
        ops.into_iter().find_map(|(text, op)| self.take(text).map(|()| op))
    }
}

/// Reads a line that is exactly of one of these forms.
pub fn read(line: &[u8]) -> Option<Line<'static>> {
    let mut rest = Rest(line);
    rest.take(b"{\"")?;
    let (kind, _) = rest.0.split_first()?;
    let name: &[u8] = match (kind, rest.0.get(1)) {
        (b'E', Some(b'n')) => b"Enter",
        (b'E', Some(b'x')) => b"Exit",
        (b'C', _) => b"Close",
        (b'W', _) => b"Waker",
        _ => return None,
    };
    rest.take(name)?;
    rest.take(b"\":{\"id\":")?;
    let id = rest.number()?;
    Some(match name {
        b"Enter" => Line::Enter { id, at: rest.at()? },
        b"Exit" => Line::Exit { id, at: rest.at()? },
        b"Close" => Line::Close { id, at: rest.at()? },
        _ => {
            rest.take(b",\"op\":")?;
            let op = rest.op()?;
            Line::Waker { id, op, at: rest.at()? }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_what_the_general_parser_reads_or_nothing() {
        let stamps = [(0, 0), (7, 9), (1_795_506_500, 999_999_999), (999_999_999_999_999_999_u64, u64::from(u32::MAX))];
        let mut read_here = 0;
        for (seconds, nanos) in stamps {
            let at = format!("\"at\":{{\"secs_since_epoch\":{seconds},\"nanos_since_epoch\":{nanos}}}");
            for id in [0, 1, 42, 999_999_999_999_999_999_u64] {
                let mut lines =
                    ["Enter", "Exit", "Close"].map(|name| format!("{{\"{name}\":{{\"id\":{id},{at}}}}}")).to_vec();
                for op in ["\"Clone\"", "\"Drop\""] {
                    lines.push(format!("{{\"Waker\":{{\"id\":{id},\"op\":{op},{at}}}}}"));
                }
                for (name, own) in [("Wake", true), ("Wake", false), ("WakeByRef", true), ("WakeByRef", false)] {
                    let op = format!("{{\"{name}\":{{\"self_wake\":{own}}}}}");
                    lines.push(format!("{{\"Waker\":{{\"id\":{id},\"op\":{op},{at}}}}}"));
                }
                for line in lines {
                    let general: Line = serde_json::from_str(&line).expect("it is a line");
                    assert_eq!(read(line.as_bytes()), Some(general), "{line}");
                    read_here += 1;
                    // With any byte changed or missing both agree, or it is left to the other.
                    for place in 0..line.len() {
                        for byte in [b'0', b'x', b'"', b'}', b' ', b'-', 0xff] {
                            let mut changed = line.clone().into_bytes();
                            changed[place] = byte;
                            if let Some(line) = read(&changed) {
                                assert_eq!(serde_json::from_slice::<Line>(&changed).ok(), Some(line), "{changed:?}");
                            }
                        }
                        assert_eq!(read(&line.as_bytes()[..place]), None);
                    }
                }
            }
        }
        assert_eq!(read_here, 4 * 4 * 9);
        for left in [
            "",
            "{",
            "{\"",
            "{\"Spawn\":{\"id\":1}}",
            "{\"Enter\":{\"id\":01,",
            "{\"Enter\":{\"id\":9999999999999999999,",
        ] {
            assert_eq!(read(left.as_bytes()), None);
        }
    }
}
