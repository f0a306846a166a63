//! Amounts of memory as people write them: `512 MiB`, `2GiB`, `1048576`.

use std::str::FromStr;

/// An amount of memory, at least [`Size::BYTES_MIN`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub bytes: usize,
}

impl Size {
    /// Any amount, however little.
    pub fn amount(text: &str) -> Result<usize, SizeError> {
        let said = || text.to_owned();
        let digits_end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
        let (digits, unit) = text.split_at(digits_end);
        let shift = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" | "kib" => 10,
            "m" | "mib" => 20,
            "g" | "gib" => 30,
            _ => return Err(SizeError::NotASize(said())),
        };
        if digits.is_empty() {
            return Err(SizeError::NotASize(said()));
        }
        let number: usize = digits.parse().map_err(|_| SizeError::TooLarge(said()))?;
        number.checked_mul(1 << shift).ok_or_else(|| SizeError::TooLarge(said()))
    }

    /// Below 1 MiB a trace would forget what just happened: 1 MiB is about twenty thousand polls.
    pub const BYTES_MIN: usize = 1 << 20;
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    #[error("`{0}` is not an amount of memory: give bytes, or a number with KiB, MiB or GiB")]
    NotASize(String),
    #[error("`{0}` is too little: give at least 1 MiB")]
    TooSmall(String),
    #[error("`{0}` is more than this machine can count")]
    TooLarge(String),
}

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let bytes = Self::amount(text)?;
        if bytes < Self::BYTES_MIN { Err(SizeError::TooSmall(text.to_owned())) } else { Ok(Self { bytes }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_people_write_them() {
        let bytes = |text: &str| text.parse::<Size>().map(|size| size.bytes);
        assert_eq!(bytes("1 GiB"), Ok(1 << 30));
        assert_eq!(bytes("64mib"), Ok(64 << 20));
        assert_eq!(bytes("1048576"), Ok(1 << 20));
        assert_eq!(bytes("3 KiB"), Err(SizeError::TooSmall("3 KiB".into())));
        assert_eq!(bytes("GiB"), Err(SizeError::NotASize("GiB".into())));
        assert_eq!(bytes("1 GB"), Err(SizeError::NotASize("1 GB".into())), "decimal units would be a guess");
        assert_eq!(bytes("99999999999 GiB"), Err(SizeError::TooLarge("99999999999 GiB".into())));
    }
}
