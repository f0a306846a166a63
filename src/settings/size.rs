//! Memory sizes with an optional binary unit: `512 MiB`, `2GiB`, `1048576`.

use std::fmt;
use std::str::FromStr;

/// A memory size of at least [`MemorySize::BYTES_MIN`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemorySize {
    /// The size in bytes.
    pub bytes: usize,
}

impl MemorySize {
    /// Parses a size without a lower limit and returns it in bytes.
    ///
    /// # Errors
    /// Returns an error if `text` is not a size, or does not fit into `usize`.
    pub fn parse_bytes(text: &str) -> Result<usize, MemorySizeError> {
        let rejected = || text.to_owned();
        let digits_end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
        let (digits, unit) = text.split_at(digits_end);
        let shift = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" | "kib" => 10,
            "m" | "mib" => 20,
            "g" | "gib" => 30,
            _ => return Err(MemorySizeError::Invalid(rejected())),
        };
        if digits.is_empty() {
            return Err(MemorySizeError::Invalid(rejected()));
        }
        let number: usize = digits.parse().map_err(|_| MemorySizeError::TooLarge(rejected()))?;
        number.checked_mul(1 << shift).ok_or_else(|| MemorySizeError::TooLarge(rejected()))
    }

    /// Minimum size of a memory budget in bytes. 1 MiB holds about 20,000 polls; less would evict the present.
    pub const BYTES_MIN: usize = 1 << 20;
}

/// An invalid memory size. Each variant holds the rejected text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemorySizeError {
    /// The text is not a number with an optional unit.
    #[error("invalid memory size `{0}`: use bytes, or a number with KiB, MiB or GiB")]
    Invalid(String),
    /// The size is below [`MemorySize::BYTES_MIN`].
    #[error("memory size `{0}` is too small: use at least 1 MiB")]
    TooSmall(String),
    /// The size does not fit into `usize`.
    #[error("memory size `{0}` is too large")]
    TooLarge(String),
}

impl FromStr for MemorySize {
    type Err = MemorySizeError;

    fn from_str(text: &str) -> Result<Self, MemorySizeError> {
        let bytes = Self::parse_bytes(text)?;
        if bytes < Self::BYTES_MIN { Err(MemorySizeError::TooSmall(text.to_owned())) } else { Ok(Self { bytes }) }
    }
}

/// Writes the exact size, with the largest unit that divides it.
impl fmt::Display for MemorySize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
        match units.into_iter().find(|(shift, _)| self.bytes > 0 && self.bytes.is_multiple_of(1 << shift)) {
            Some((shift, unit)) => write!(f, "{} {unit}", self.bytes >> shift),
            None => write!(f, "{}", self.bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_sizes_with_binary_units() {
        let bytes = |text: &str| text.parse::<MemorySize>().map(|size| size.bytes);
        assert_eq!(bytes("1 GiB"), Ok(1 << 30));
        assert_eq!(bytes("64mib"), Ok(64 << 20));
        assert_eq!(bytes("1048576"), Ok(1 << 20));
        assert_eq!(bytes("3 KiB"), Err(MemorySizeError::TooSmall("3 KiB".into())));
        assert_eq!(bytes("GiB"), Err(MemorySizeError::Invalid("GiB".into())));
        assert_eq!(bytes("1 GB"), Err(MemorySizeError::Invalid("1 GB".into())), "decimal units are rejected");
        assert_eq!(bytes("99999999999 GiB"), Err(MemorySizeError::TooLarge("99999999999 GiB".into())));
    }

    #[test]
    fn displays_sizes_exactly() {
        let displayed =
            [0, 1_023, 4 << 10, 3 << 20, (1 << 30) + 1, 2 << 30].map(|bytes| MemorySize { bytes }.to_string());
        assert_eq!(displayed, ["0", "1023", "4 KiB", "3 MiB", "1073741825", "2 GiB"]);
        for text in displayed {
            let bytes = MemorySize::parse_bytes(&text).expect("parse the displayed size");
            assert_eq!(MemorySize { bytes }.to_string(), text);
        }
    }
}
