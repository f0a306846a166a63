//! Bit-packed columns of numbers. Each value is stored as its difference from the least value of the column, in as many
//! bits as the greatest difference needs. Any value can be read by itself.
//!
//! A column of `count` values is its width in bits (one byte), its least value (LEB128) and `count` × width bits, the
//! first value in the lowest bits, padded to a whole byte. Any bytes decode to some values, so a damaged file yields
//! wrong numbers and never a panic.

use std::ops::Range;

/// Greatest width at which a value always fits into one read of eight bytes.
const SINGLE_READ_BITS_MAX: u32 = 57;

/// Appends `value` as LEB128: seven bits per byte, the lowest first.
pub(super) fn push_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// Decodes the LEB128 number at the front of `bytes`; `None` where the bytes end within it or it exceeds 64 bits.
#[inline]
pub(super) fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    /// The bit of each byte that says whether another byte follows.
    const FOLLOWED: u64 = 0x8080_8080_8080_8080;
    let Some(eight) = bytes.first_chunk::<8>() else { return take_varint_slow(bytes) };
    let raw = u64::from_le_bytes(*eight);
    let lasts = !raw & FOLLOWED;
    if lasts == 0 {
        return take_varint_slow(bytes);
    }
    // Avoids a branch per byte: the length of a number is unpredictable, and every lookup decodes several.
    let bits = lasts.trailing_zeros() + 1;
    let septets = raw & (u64::MAX >> (u64::BITS - bits)) & !FOLLOWED;
    let pairs = (septets & 0x007f_007f_007f_007f) | ((septets & 0x7f00_7f00_7f00_7f00) >> 1);
    let fours = (pairs & 0x0000_3fff_0000_3fff) | ((pairs & 0x3fff_0000_3fff_0000) >> 2);
    *bytes = &bytes[bits as usize / 8..];
    Some((fours & 0x0fff_ffff) | ((fours & 0x0fff_ffff_0000_0000) >> 4))
}

/// Decodes a number near the end of the bytes, or of more than eight bytes.
#[cold]
fn take_varint_slow(bytes: &mut &[u8]) -> Option<u64> {
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

/// Appends `more` after its length.
pub(super) fn push_bytes(bytes: &mut Vec<u8>, more: &[u8]) {
    push_varint(bytes, more.len() as u64);
    bytes.extend_from_slice(more);
}

/// Decodes bytes that follow their length.
pub(super) fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(take_varint(bytes)?).ok()?;
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

/// Encodes a value with postcard: for data too rare to need columns.
pub(super) fn to_postcard(value: &impl serde::Serialize) -> Vec<u8> {
    postcard::to_stdvec(value).expect("serialization to memory does not fail")
}

/// Decodes a value with postcard. Also returns the bytes after it.
pub(super) fn split_postcard<'a, T: serde::Deserialize<'a>>(bytes: &'a [u8]) -> Option<(T, &'a [u8])> {
    postcard::take_from_bytes(bytes).ok()
}

/// Decodes a value with postcard that is left out at the end of the bytes where it is the default. Also returns the bytes
/// after it.
pub(super) fn take_optional<'a, T: serde::Deserialize<'a> + Default>(bytes: &'a [u8]) -> Option<(T, &'a [u8])> {
    if bytes.is_empty() { Some((T::default(), bytes)) } else { split_postcard(bytes) }
}

/// Returns the first index of `indices` that does not satisfy `before`, which must hold for a prefix; the end of the
/// range where all satisfy it.
pub(super) fn partition_point(indices: Range<usize>, mut before: impl FnMut(usize) -> bool) -> usize {
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

/// Appends `values` as a packed column.
pub(super) fn push_column(bytes: &mut Vec<u8>, values: &[u64]) {
    let (mut least, mut greatest) = (u64::MAX, 0);
    for value in values {
        least = least.min(*value);
        greatest = greatest.max(*value);
    }
    let least = least.min(greatest);
    let width = u64::BITS - (greatest - least).leading_zeros();
    bytes.push(width as u8);
    push_varint(bytes, least);
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

/// A view of a packed column.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PackedColumn<'a> {
    /// The bytes from the first value to the end of the enclosing buffer.
    bytes: &'a [u8],
    /// The same bytes if the values are narrow enough for single reads of eight bytes; empty otherwise.
    wide_readable: &'a [u8],
    /// The least value, to which the stored differences are added.
    least: u64,
    /// Bits per value.
    width: u32,
    /// A mask of the lowest `width` bits.
    mask: u64,
}

impl<'a> PackedColumn<'a> {
    /// Returns the least value of the column.
    pub fn least(&self) -> u64 {
        self.least
    }

    /// Splits off the column of `count` values at the front of `bytes`; `None` where there are too few bytes.
    #[inline]
    pub fn take(bytes: &mut &'a [u8], count: usize) -> Option<Self> {
        let (width, rest) = bytes.split_first()?;
        let width = u32::from(*width);
        let mut rest = rest;
        let least = take_varint(&mut rest)?;
        let length = (count * width as usize).div_ceil(8);
        if width > u64::BITS || rest.len() < length {
            return None;
        }
        *bytes = &rest[length..];
        let wide_readable = if width <= SINGLE_READ_BITS_MAX { rest } else { &[] };
        let mask = u64::MAX.checked_shr(u64::BITS - width).unwrap_or(0);
        Some(Self { bytes: rest, wide_readable, least, width, mask })
    }

    /// Returns the value at `index`, which must be below the column's count.
    #[inline]
    pub fn get(&self, index: usize) -> u64 {
        let bit = index * self.width as usize;
        let (byte, shift) = (bit / 8, (bit % 8) as u32);
        let raw = match self.wide_readable.get(byte..).and_then(|from| from.first_chunk::<8>()) {
            Some(eight) => u64::from_le_bytes(*eight) >> shift,
            None => self.read_slow(byte, shift),
        };
        self.least.wrapping_add(raw & self.mask)
    }

    /// Reads a value near the end of the bytes, or one that may span nine bytes.
    #[cold]
    fn read_slow(&self, byte: usize, shift: u32) -> u64 {
        let mut window = [0; 16];
        for (into, from) in window.iter_mut().zip(self.bytes.iter().skip(byte).take(9)) {
            *into = *from;
        }
        (u128::from_le_bytes(window) >> shift) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_every_width_round_trip() {
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
                    let column = PackedColumn::take(&mut rest, count).expect("the column was just encoded");
                    let read: Vec<u64> = (0..count).map(|index| column.get(index)).collect();
                    assert_eq!(read, values, "{count} values of {width} bits");
                }
                assert!(rest.is_empty());
                let mut cut = &bytes[..bytes.len() / 2 - 1];
                assert!(PackedColumn::take(&mut cut, count).is_none(), "a truncated column is rejected");
            }
        }
    }

    #[test]
    fn equal_values_take_no_bits() {
        let mut bytes = vec![];
        push_column(&mut bytes, &[1_000_000; 64]);
        assert_eq!(bytes.len(), 4);
    }

    #[test]
    fn varints_round_trip() {
        let of_every_length = (0..64).map(|bits| 0x9234_5678_9abc_def1_u64 >> bits);
        for value in of_every_length.chain([0, 1, 127, 128, 1 << 35, u64::MAX]) {
            let mut bytes = vec![];
            push_varint(&mut bytes, value);
            let mut rest = &bytes[..];
            assert_eq!((take_varint(&mut rest), rest.len()), (Some(value), 0));
            assert_eq!(take_varint(&mut &bytes[..bytes.len() - 1]), None, "{value}");
            // With enough bytes after the number, the fast path decodes it.
            bytes.extend([0xff; 8]);
            let mut rest = &bytes[..];
            assert_eq!((take_varint(&mut rest), rest.len()), (Some(value), 8));
        }
        assert_eq!(take_varint(&mut &[0xff; 10][..]), None, "more than 64 bits");
    }
}
