//! What a policy can ask for before somebody passes.

use std::fmt;
use std::str::FromStr;

use crate::directory::as_text;
use crate::ids::{IdInvalid, Name};

/// What can be asked for. As text: `mfa`, `registered-device`, `compliant-device`, `terms/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Requirement {
    /// Two different factors.
    Mfa,
    /// A device that is known, whether it complies or not.
    RegisteredDevice,
    /// A device that complies.
    CompliantDevice,
    /// That the user accepted these terms.
    Terms(Name),
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mfa => f.write_str(MFA),
            Self::RegisteredDevice => f.write_str(REGISTERED_DEVICE),
            Self::CompliantDevice => f.write_str(COMPLIANT_DEVICE),
            Self::Terms(name) => write!(f, "{TERMS}{name}"),
        }
    }
}

impl FromStr for Requirement {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            MFA => Ok(Self::Mfa),
            REGISTERED_DEVICE => Ok(Self::RegisteredDevice),
            COMPLIANT_DEVICE => Ok(Self::CompliantDevice),
            _ => match text.strip_prefix(TERMS) {
                Some(name) => name.parse().map(Self::Terms).map_err(|error: IdInvalid| error.to_string()),
                None => {
                    let text: String = text.chars().take(64).collect();
                    Err(format!("{text:?} is not mfa, registered-device, compliant-device or terms/NAME"))
                }
            },
        }
    }
}

as_text!(Requirement);

const MFA: &str = "mfa";
const REGISTERED_DEVICE: &str = "registered-device";
const COMPLIANT_DEVICE: &str = "compliant-device";
const TERMS: &str = "terms/";
