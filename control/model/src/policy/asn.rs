//! Autonomous systems: the networks that the internet is made of, by their numbers.

use std::fmt;
use std::str::FromStr;

use crate::directory::as_text;

/// An autonomous system (RFC 6793). As text `AS64500`; the number alone is understood, too. `AS0`, which is nobody's (RFC 7607),
/// stands for an address whose system is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asn(pub u32);

impl Asn {
    /// Of an address whose system is not known.
    pub const UNKNOWN: Self = Self(0);
}

impl fmt::Display for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AS{}", self.0)
    }
}

impl FromStr for Asn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.strip_prefix("AS").unwrap_or(text);
        let number = Some(digits).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        number.and_then(|digits| digits.parse().ok()).map(Self).ok_or_else(|| {
            let text: String = text.chars().take(16).collect();
            format!("{text:?} is not the number of an autonomous system such as AS64500, or AS0 for unknown")
        })
    }
}

as_text!(Asn);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_spelling() {
        for right in ["AS64500", "64500"] {
            assert_eq!(right.parse::<Asn>().unwrap().to_string(), "AS64500");
        }
        assert_eq!("AS4294967295".parse(), Ok(Asn(u32::MAX)));
        assert_eq!("0".parse(), Ok(Asn::UNKNOWN));
        for wrong in ["", "AS", "as1", "+1", "-1", "1.5", "4294967296", " 1", "AS 1"] {
            assert!(wrong.parse::<Asn>().is_err(), "{wrong:?}");
        }
    }
}
