//! Parses the most frequent lines of a recording in the exact form that console-subscriber writes.
//!
//! A general JSON parser spends most of its time on forms that never occur. Lines that differ by a single byte are left
//! to that parser.

use super::{RecordingLine, RecordingTimestamp, WakerOp};

/// The unparsed rest of a line.
struct LineParser<'a>(&'a [u8]);

impl LineParser<'_> {
    fn skip(&mut self, text: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(text)?;
        Some(())
    }

    /// Parses a JSON integer: no sign, no leading zero, at most 18 digits, which cannot overflow.
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

    /// Parses the timestamp and the end of the line.
    fn timestamp(&mut self) -> Option<RecordingTimestamp> {
        self.skip(b",\"at\":{\"secs_since_epoch\":")?;
        let seconds = self.number()?;
        self.skip(b",\"nanos_since_epoch\":")?;
        let nanos = u32::try_from(self.number()?).ok()?;
        (self.0 == b"}}}").then(|| RecordingTimestamp::new(seconds, nanos))
    }

    fn waker_op(&mut self) -> Option<WakerOp> {
        let ops: [(&[u8], WakerOp); 6] = [
            (b"\"Clone\"", WakerOp::Clone),
            (b"\"Drop\"", WakerOp::Drop),
            (b"{\"WakeByRef\":{\"self_wake\":false}}", WakerOp::WakeByRef { self_wake: false }),
            (b"{\"Wake\":{\"self_wake\":false}}", WakerOp::Wake { self_wake: false }),
            (b"{\"WakeByRef\":{\"self_wake\":true}}", WakerOp::WakeByRef { self_wake: true }),
            (b"{\"Wake\":{\"self_wake\":true}}", WakerOp::Wake { self_wake: true }),
        ];
        ops.into_iter().find_map(|(text, op)| self.skip(text).map(|()| op))
    }
}

/// Parses a line that has exactly one of these forms.
pub fn parse(line: &[u8]) -> Option<RecordingLine<'static>> {
    let mut parser = LineParser(line);
    parser.skip(b"{\"")?;
    let (kind, _) = parser.0.split_first()?;
    let name: &[u8] = match (kind, parser.0.get(1)) {
        (b'E', Some(b'n')) => b"Enter",
        (b'E', Some(b'x')) => b"Exit",
        (b'C', _) => b"Close",
        (b'W', _) => b"Waker",
        _ => return None,
    };
    parser.skip(name)?;
    parser.skip(b"\":{\"id\":")?;
    let id = parser.number()?;
    Some(match name {
        b"Enter" => RecordingLine::Enter { id, at: parser.timestamp()? },
        b"Exit" => RecordingLine::Exit { id, at: parser.timestamp()? },
        b"Close" => RecordingLine::Close { id, at: parser.timestamp()? },
        _ => {
            parser.skip(b",\"op\":")?;
            let op = parser.waker_op()?;
            RecordingLine::Waker { id, op, at: parser.timestamp()? }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_general_parser() {
        let stamps = [(0, 0), (7, 9), (1_795_506_500, 999_999_999), (999_999_999_999_999_999_u64, u64::from(u32::MAX))];
        let mut parsed = 0;
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
                    let general: RecordingLine = serde_json::from_str(&line).expect("it is a line");
                    assert_eq!(parse(line.as_bytes()), Some(general), "{line}");
                    parsed += 1;
                    // With any byte changed or missing it agrees, or leaves the line to the general parser.
                    for index in 0..line.len() {
                        for byte in [b'0', b'x', b'"', b'}', b' ', b'-', 0xff] {
                            let mut changed = line.clone().into_bytes();
                            changed[index] = byte;
                            if let Some(line) = parse(&changed) {
                                assert_eq!(
                                    serde_json::from_slice::<RecordingLine>(&changed).ok(),
                                    Some(line),
                                    "{changed:?}"
                                );
                            }
                        }
                        assert_eq!(parse(&line.as_bytes()[..index]), None);
                    }
                }
            }
        }
        assert_eq!(parsed, 4 * 4 * 9);
        for left in [
            "",
            "{",
            "{\"",
            "{\"Spawn\":{\"id\":1}}",
            "{\"Enter\":{\"id\":01,",
            "{\"Enter\":{\"id\":9999999999999999999,",
        ] {
            assert_eq!(parse(left.as_bytes()), None);
        }
    }
}
