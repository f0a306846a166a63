//! The outermost structure of protobuf: numbered fields, some of which hold bytes with further fields.

use std::ops::Range;

/// The bytes are not a protobuf message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed console message")]
pub struct MalformedMessage;

/// The value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProtoField {
    /// A varint.
    Number(u64),
    /// Range of its bytes in the message.
    Bytes(Range<usize>),
    /// Four or eight bytes; the console protocol uses neither.
    Fixed,
}

/// Iterator over the fields in a range of a message, with their numbers.
pub struct ProtoFields<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> ProtoFields<'a> {
    /// Reads the fields in this range.
    pub fn new(bytes: &'a [u8], range: Range<usize>) -> Self {
        Self { bytes, at: range.start, end: range.end.min(bytes.len()) }
    }

    fn varint(&mut self) -> Result<u64, MalformedMessage> {
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let byte = *self.bytes.get(..self.end).and_then(|bytes| bytes.get(self.at)).ok_or(MalformedMessage)?;
            self.at += 1;
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(MalformedMessage)
    }

    fn skip(&mut self, count: u64) -> Result<Range<usize>, MalformedMessage> {
        let count = usize::try_from(count).map_err(|_| MalformedMessage)?;
        let end = self.at.checked_add(count).filter(|end| *end <= self.end).ok_or(MalformedMessage)?;
        let range = self.at..end;
        self.at = end;
        Ok(range)
    }

    fn field(&mut self) -> Result<(u32, ProtoField), MalformedMessage> {
        let head = self.varint()?;
        let number = u32::try_from(head >> 3).map_err(|_| MalformedMessage)?;
        let field = match head & 7 {
            0 => ProtoField::Number(self.varint()?),
            1 => self.skip(8).map(|_| ProtoField::Fixed)?,
            2 => {
                let count = self.varint()?;
                ProtoField::Bytes(self.skip(count)?)
            }
            5 => self.skip(4).map(|_| ProtoField::Fixed)?,
            _ => return Err(MalformedMessage),
        };
        Ok((number, field))
    }
}

impl Iterator for ProtoFields<'_> {
    type Item = Result<(u32, ProtoField), MalformedMessage>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.end {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.at = self.end;
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stops_at_the_first_malformed_field() {
        let fields = |bytes: &[u8]| ProtoFields::new(bytes, 0..bytes.len()).collect::<Vec<_>>();
        let read = fields(&[0x08, 0x96, 0x01, 0x12, 0x02, 7, 7, 0x1d, 1, 2, 3, 4]);
        assert_eq!(
            read,
            [Ok((1, ProtoField::Number(150))), Ok((2, ProtoField::Bytes(5..7))), Ok((3, ProtoField::Fixed))]
        );
        for broken in [&[0x12, 0x05, 1][..], &[0x0b], &[0x08], &[0xff; 11], &[0x12, 0xff, 0xff, 0xff, 0xff, 0xff]] {
            assert_eq!(fields(broken).last(), Some(&Err(MalformedMessage)), "{broken:?}");
        }
    }
}
