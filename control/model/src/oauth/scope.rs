//! Scopes: what a client asks for.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::Name;

/// One scope.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Who the user is, at all: an ID token.
    OpenId,
    /// Their names.
    Profile,
    /// Their mail address.
    Email,
    /// Their groups.
    Groups,
    /// To make a device theirs.
    Devices,
    /// To use this application in their name.
    App(Name),
    /// Every application. Only what a client may ask for is written so; it asks for each by name.
    EveryApp,
}

/// A set of scopes; as text with spaces between, as RFC 6749 §3.3 writes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scopes(BTreeSet<Scope>);

/// Text that is no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a scope: openid, profile, email, groups, devices, app:NAME")]
pub struct ScopeInvalid(String);

impl Scopes {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this one is among them.
    #[must_use]
    pub fn contains(&self, scope: &Scope) -> bool {
        self.0.contains(scope)
    }

    /// Each of them, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.0.iter()
    }

    /// The applications that are named.
    pub fn apps(&self) -> impl Iterator<Item = &Name> {
        self.0.iter().filter_map(|scope| match scope {
            Scope::App(name) => Some(name),
            Scope::OpenId | Scope::Profile | Scope::Email | Scope::Groups | Scope::Devices | Scope::EveryApp => None,
        })
    }

    /// Whether a client that may ask for these may ask for `asked`.
    #[must_use]
    pub fn allow(&self, asked: &Self) -> bool {
        asked.0.iter().all(|scope| match scope {
            Scope::App(_) => self.0.contains(scope) || self.0.contains(&Scope::EveryApp),
            Scope::EveryApp => false,
            Scope::OpenId | Scope::Profile | Scope::Email | Scope::Groups | Scope::Devices => self.0.contains(scope),
        })
    }

    /// Whether all of `other` are among them.
    #[must_use]
    pub fn include(&self, other: &Self) -> bool {
        other.0.is_subset(&self.0)
    }

    /// These and those.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).cloned().collect())
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<T: IntoIterator<Item = Scope>>(scopes: T) -> Self {
        Self(scopes.into_iter().collect())
    }
}

impl FromStr for Scopes {
    type Err = ScopeInvalid;

    fn from_str(text: &str) -> Result<Self, ScopeInvalid> {
        if text.len() > SCOPES_BYTES_MAX {
            return Err(ScopeInvalid(text.chars().take(64).collect()));
        }
        text.split(' ').filter(|scope| !scope.is_empty()).map(str::parse).collect()
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.0.iter().enumerate() {
            let space = if index > 0 { " " } else { "" };
            write!(f, "{space}{scope}")?;
        }
        Ok(())
    }
}

impl FromStr for Scope {
    type Err = ScopeInvalid;

    fn from_str(text: &str) -> Result<Self, ScopeInvalid> {
        let invalid = || ScopeInvalid(text.chars().take(64).collect());
        Ok(match text {
            "openid" => Self::OpenId,
            "profile" => Self::Profile,
            "email" => Self::Email,
            "groups" => Self::Groups,
            "devices" => Self::Devices,
            "app:*" => Self::EveryApp,
            _ => Self::App(text.strip_prefix("app:").and_then(|name| name.parse().ok()).ok_or_else(invalid)?),
        })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OpenId => f.write_str("openid"),
            Self::Profile => f.write_str("profile"),
            Self::Email => f.write_str("email"),
            Self::Groups => f.write_str("groups"),
            Self::Devices => f.write_str("devices"),
            Self::App(name) => write!(f, "app:{name}"),
            Self::EveryApp => f.write_str("app:*"),
        }
    }
}

impl Serialize for Scopes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Scopes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Longest list of scopes.
const SCOPES_BYTES_MAX: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(text: &str) -> Scopes {
        text.parse().unwrap()
    }

    #[test]
    fn scopes_are_read_and_written() {
        assert_eq!(scopes("app:wiki  openid openid").to_string(), "openid app:wiki");
        for wrong in ["app:", "app:Wiki", "offline_access", "openid\tprofile", "app:a/b", "OPENID", "*"] {
            assert!(wrong.parse::<Scopes>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_client_asks_for_what_it_may_and_no_more() {
        let may = scopes("openid app:wiki");
        assert!(may.allow(&scopes("openid")) && may.allow(&scopes("app:wiki")) && may.allow(&scopes("")));
        assert!(!may.allow(&scopes("app:crm")) && !may.allow(&scopes("openid profile")));
        assert!(scopes("app:*").allow(&scopes("app:crm app:wiki")));
        assert!(!scopes("app:*").allow(&scopes("app:*")), "each by name");
        assert!(!scopes("app:*").allow(&scopes("openid")) && !scopes("openid app:*").allow(&scopes("devices")));
    }
}
