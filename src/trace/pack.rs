//! Columns of numbers in few bits: each value is what it is more than the least of its column, in as many bits as the
//! greatest needs. Any value is read by itself, so a look-up decodes no more than it asks for.
//!
//! A column of `count` values is: its width in bits (one byte), its least value (LEB128), and `count` × width bits, the
//! first value in the lowest bits, filled up to a whole byte. Every combination of bytes reads as something, so that a
//! file that lies gives wrong numbers and never a panic.

use std::ops::Range;

/// The widest value that one read of eight bytes always has whole.
const ONE_READ_BITS_MAX: u32 = 57;

/// Appends `value` in seven bits a byte, the lowest first.
pub(super) fn push_number(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// Takes the number at the front of `bytes`; `None` where they end within it or it has more than 64 bits.
#[inline]
pub(super) fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    /// In each byte the bit that says whether another follows.
    const FOLLOWED: u64 = 0x8080_8080_8080_8080;
    let Some(eight) = bytes.first_chunk::<8>() else { return take_number_slowly(bytes) };
    let raw = u64::from_le_bytes(*eight);
    let lasts = !raw & FOLLOWED;
    if lasts == 0 {
        return take_number_slowly(bytes);
    }
    // Without a branch for each byte: how long a number is cannot be foreseen, and every look-up takes several.
    let bits = lasts.trailing_zeros() + 1;
    let sevens = raw & (u64::MAX >> (u64::BITS - bits)) & !FOLLOWED;
    let pairs = (sevens & 0x007f_007f_007f_007f) | ((sevens & 0x7f00_7f00_7f00_7f00) >> 1);
    let fours = (pairs & 0x0000_3fff_0000_3fff) | ((pairs & 0x3fff_0000_3fff_0000) >> 2);
    *bytes = &bytes[bits as usize / 8..];
    Some((fours & 0x0fff_ffff) | ((fours & 0x0fff_ffff_0000_0000) >> 4))
}

/// Near the end of the bytes, or where the number has more than eight.
#[cold]
fn take_number_slowly(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        let part = u64::from(byte & 0x7f);
        if index == 9 && part > 1 {
            return None;
        }
        value |= part << (7 * index);
        if byte & 0x80 == 0 {
            *bytes = &bytes[index + 1..];
            return Some(value);
        }
    }
    None
}

/// Appends `more` with its length before it.
pub(super) fn push_bytes(bytes: &mut Vec<u8>, more: &[u8]) {
    push_number(bytes, more.len() as u64);
    bytes.extend_from_slice(more);
}

/// Takes bytes that say their length.
pub(super) fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(take_number(bytes)?).ok()?;
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

/// What happens too rarely to have columns, as bytes.
pub(super) fn serialized(value: &impl serde::Serialize) -> Vec<u8> {
    postcard::to_stdvec(value).expect("memory is the only thing that this needs")
}

/// The other way round; `None` where the bytes are something else, or more.
pub(super) fn deserialized<'a, T: serde::Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    postcard::take_from_bytes(bytes).ok().filter(|(_, rest)| rest.is_empty()).map(|(value, _)| value)
}

/// The first index of `indices` that is not `before` something, where all after it are not either; their end where none is.
pub(super) fn first_not(indices: Range<usize>, mut before: impl FnMut(usize) -> bool) -> usize {
    let Range { start: mut low, end: mut high } = indices;
    while low < high {
        let middle = low.midpoint(high);
        if before(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// Appends a column.
pub(super) fn push_column(bytes: &mut Vec<u8>, values: &[u64]) {
    let (mut least, mut greatest) = (u64::MAX, 0);
    for value in values {
        least = least.min(*value);
        greatest = greatest.max(*value);
    }
    let least = least.min(greatest);
    let width = u64::BITS - (greatest - least).leading_zeros();
    bytes.push(width as u8);
    push_number(bytes, least);
    if width == 0 {
        return;
    }
    let (mut pending, mut filled) = (0_u128, 0);
    for value in values {
        pending |= u128::from(value - least) << filled;
        filled += width;
        if filled >= 64 {
            bytes.extend_from_slice(&(pending as u64).to_le_bytes());
            pending >>= 64;
            filled -= 64;
        }
    }
    let rest = (pending as u64).to_le_bytes();
    bytes.extend_from_slice(&rest[..filled.div_ceil(8) as usize]);
}

/// A column as it lies in its bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Column<'a> {
    /// From its first value to the end of what it lies in.
    bytes: &'a [u8],
    /// The same where one read of eight bytes always has a value whole, and nothing elsewhere.
    whole: &'a [u8],
    least: u64,
    width: u32,
    /// The lowest so many bits.
    mask: u64,
}

impl<'a> Column<'a> {
    /// The least of its values, where it has any.
    pub fn least(&self) -> u64 {
        self.least
    }

    /// Takes the column of `count` values at the front of `bytes`; `None` where they are too few.
    #[inline]
    pub fn take(bytes: &mut &'a [u8], count: usize) -> Option<Self> {
        let (width, rest) = bytes.split_first()?;
        let width = u32::from(*width);
        let mut rest = rest;
        let least = take_number(&mut rest)?;
        let length = (count * width as usize).div_ceil(8);
        if width > u64::BITS || rest.len() < length {
            return None;
        }
        *bytes = &rest[length..];
        let whole = if width <= ONE_READ_BITS_MAX { rest } else { &[] };
        let mask = u64::MAX.checked_shr(u64::BITS - width).unwrap_or(0);
        Some(Self { bytes: rest, whole, least, width, mask })
    }

    /// The value at `index`, which is below the column's count.
    #[inline]
    pub fn get(&self, index: usize) -> u64 {
        let bit = index * self.width as usize;
        let (byte, shift) = (bit / 8, (bit % 8) as u32);
        let raw = match self.whole.get(byte..).and_then(|from| from.first_chunk::<8>()) {
            Some(eight) => u64::from_le_bytes(*eight) >> shift,
            None => self.read_slowly(byte, shift),
        };
        self.least.wrapping_add(raw & self.mask)
    }

    /// Near the end of the bytes, or where the value may lie in nine of them.
    #[cold]
    fn read_slowly(&self, byte: usize, shift: u32) -> u64 {
        let mut whole = [0; 16];
        for (into, from) in whole.iter_mut().zip(self.bytes.iter().skip(byte).take(9)) {
            *into = *from;
        }
        (u128::from_le_bytes(whole) >> shift) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_of_every_width_comes_back_from_its_place() {
        for width in 0..=64_u32 {
            for count in [0, 1, 2, 7, 8, 31, 32, 64] {
                let mask = if width == 0 { 0 } else { u64::MAX >> (64 - width) };
                let mut state = u64::from(width) + 1;
                let values: Vec<u64> = (0..count)
                    .map(|_| {
                        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                        (state ^ (state >> 31)) & mask
                    })
                    .collect();
                let mut bytes = vec![];
                push_column(&mut bytes, &values);
                push_column(&mut bytes, &values);
                let mut rest = &bytes[..];
                for _ in 0..2 {
                    let column = Column::take(&mut rest, count).expect("it was written just now");
                    let read: Vec<u64> = (0..count).map(|index| column.get(index)).collect();
                    assert_eq!(read, values, "{count} values of {width} bits");
                }
                assert!(rest.is_empty());
                let mut cut = &bytes[..bytes.len() / 2 - 1];
                assert!(Column::take(&mut cut, count).is_none(), "bytes that are missing are missed");
            }
        }
    }

    #[test]
    fn equal_values_take_no_room_of_their_own() {
        let mut bytes = vec![];
        push_column(&mut bytes, &[1_000_000; 64]);
        assert_eq!(bytes.len(), 4);
    }

    #[test]
    fn numbers_of_any_size_come_back() {
        let of_every_length = (0..64).map(|bits| 0x9234_5678_9abc_def1_u64 >> bits);
        for value in of_every_length.chain([0, 1, 127, 128, 1 << 35, u64::MAX]) {
            let mut bytes = vec![];
            push_number(&mut bytes, value);
            let mut rest = &bytes[..];
            assert_eq!((take_number(&mut rest), rest.len()), (Some(value), 0));
            assert_eq!(take_number(&mut &bytes[..bytes.len() - 1]), None, "{value}");
            // Where more follows it is read in another way.
            bytes.extend([0xff; 8]);
            let mut rest = &bytes[..];
            assert_eq!((take_number(&mut rest), rest.len()), (Some(value), 8));
        }
        assert_eq!(take_number(&mut &[0xff; 10][..]), None, "more than 64 bits");
    }
}
