//! The outermost shape of protobuf: numbered fields, of which some are bytes that hold fields again.

use std::ops::Range;

/// These bytes are not of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no message of the console protocol")]
pub struct Unreadable;

/// What a field holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    Number(u64),
    /// Where its bytes are in the message.
    Bytes(Range<usize>),
    /// Four or eight bytes, of which the console protocol has none.
    Fixed,
}

/// The fields of one stretch of a message, by number, in order.
pub struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Fields<'a> {
    pub fn of(bytes: &'a [u8], place: Range<usize>) -> Self {
        Self { bytes, at: place.start, end: place.end.min(bytes.len()) }
    }

    fn varint(&mut self) -> Result<u64, Unreadable> {
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let byte = *self.bytes.get(..self.end).and_then(|bytes| bytes.get(self.at)).ok_or(Unreadable)?;
            self.at += 1;
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Unreadable)
    }

    fn skip(&mut self, count: u64) -> Result<Range<usize>, Unreadable> {
        let count = usize::try_from(count).map_err(|_| Unreadable)?;
        let end = self.at.checked_add(count).filter(|end| *end <= self.end).ok_or(Unreadable)?;
        let place = self.at..end;
        self.at = end;
        Ok(place)
    }

    fn field(&mut self) -> Result<(u32, Field), Unreadable> {
        let head = self.varint()?;
        let number = u32::try_from(head >> 3).map_err(|_| Unreadable)?;
        let field = match head & 7 {
            0 => Field::Number(self.varint()?),
            1 => self.skip(8).map(|_| Field::Fixed)?,
            2 => {
                let count = self.varint()?;
                Field::Bytes(self.skip(count)?)
            }
            5 => self.skip(4).map(|_| Field::Fixed)?,
            _ => return Err(Unreadable),
        };
        Ok((number, field))
    }
}

impl Iterator for Fields<'_> {
    type Item = Result<(u32, Field), Unreadable>;

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
    fn fields_are_read_in_order_and_what_is_none_ends_it() {
        let fields = |bytes: &[u8]| Fields::of(bytes, 0..bytes.len()).collect::<Vec<_>>();
        let read = fields(&[0x08, 0x96, 0x01, 0x12, 0x02, 7, 7, 0x1d, 1, 2, 3, 4]);
        assert_eq!(read, [Ok((1, Field::Number(150))), Ok((2, Field::Bytes(5..7))), Ok((3, Field::Fixed))]);
        for broken in [&[0x12, 0x05, 1][..], &[0x0b], &[0x08], &[0xff; 11], &[0x12, 0xff, 0xff, 0xff, 0xff, 0xff]] {
            assert_eq!(fields(broken).last(), Some(&Err(Unreadable)), "{broken:?}");
        }
    }
}
