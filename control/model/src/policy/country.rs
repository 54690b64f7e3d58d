//! Countries by their codes.

use std::fmt;
use std::str::FromStr;

use crate::directory::as_text;

/// A country: ISO 3166-1 alpha-2, `DE`. `ZZ` stands for an address whose country is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country([u8; 2]);

/// Text that names no country.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a country's code of two capital letters (ISO 3166-1) such as DE, or ZZ for unknown")]
pub struct CountryInvalid(String);

impl Country {
    /// Of an address whose country is not known.
    pub const UNKNOWN: Self = Self(*b"ZZ");
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.0).unwrap_or("ZZ")) // letters
    }
}

impl FromStr for Country {
    type Err = CountryInvalid;

    fn from_str(text: &str) -> Result<Self, CountryInvalid> {
        let code: Option<[u8; 2]> = text.as_bytes().try_into().ok();
        let known = |code: &[u8; 2]| CODES.as_bytes().chunks(3).any(|known| known.starts_with(code));
        let code = code.filter(|code| code.iter().all(u8::is_ascii_uppercase)).filter(known);
        code.map(Self).ok_or_else(|| CountryInvalid(text.chars().take(16).collect()))
    }
}

as_text!(Country);

/// Those that are assigned, Kosovo as the databases of addresses name it (XK), and unknown.
const CODES: &str = "\
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY \
BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK \
FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR \
IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK \
ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM \
PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF \
TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW \
XK ZZ ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_assigned() {
        assert_eq!(CODES.len(), 251 * 3);
        for right in ["AD", "DE", "GB", "ZW", "XK", "ZZ"] {
            assert_eq!(right.parse::<Country>().unwrap().to_string(), right);
        }
        for wrong in ["", "D", "de", "UK", "DEU", "ÄÖ", "D ", " D"] {
            assert!(wrong.parse::<Country>().is_err(), "{wrong:?}");
        }
        assert_eq!("ZZ".parse(), Ok(Country::UNKNOWN));
    }
}
