//! Identifiers, tenant first. They are `Copy`, cheap in the hot path, and text (`a1-7`) wherever people or JSON see them.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

/// Text that is not an identifier of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct IdInvalid {
    /// What was read, cut to 64 characters.
    pub text: String,
    /// The expected shape, for people: "an application id such as a1-7".
    pub expected: &'static str,
}

impl IdInvalid {
    fn new(text: &str, expected: &'static str) -> Self {
        Self { text: text.chars().take(64).collect(), expected }
    }
}

/// Ids that are a letter and a number: `t1`, `r3`.
macro_rules! plain_id {
    ($(#[$doc:meta])* $name:ident, $letter:literal, $expected:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($letter, "{}"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdInvalid;
            fn from_str(text: &str) -> Result<Self, IdInvalid> {
                let number = text.strip_prefix($letter).and_then(number);
                number.map(Self).ok_or_else(|| IdInvalid::new(text, $expected))
            }
        }

        text_serde!($name, $expected);
    };
}

/// Ids that belong to a tenant: letter, tenant, sequence number within the tenant: `a1-7`.
macro_rules! tenant_id {
    ($(#[$doc:meta])* $name:ident, $letter:literal, $expected:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name {
            /// The tenant it belongs to.
            pub tenant: TenantId,
            /// Its number within the tenant, from 1.
            pub seq: u32,
        }

        impl $name {
            /// The id `seq` of `tenant`.
            #[must_use]
            pub const fn new(tenant: TenantId, seq: u32) -> Self {
                Self { tenant, seq }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($letter, "{}-{}"), self.tenant.0, self.seq)
            }
        }

        impl FromStr for $name {
            type Err = IdInvalid;
            fn from_str(text: &str) -> Result<Self, IdInvalid> {
                let parts = text.strip_prefix($letter).and_then(|rest| rest.split_once('-'));
                let parsed = parts.and_then(|(tenant, seq)| Some(Self::new(TenantId(number(tenant)?), number(seq)?)));
                parsed.ok_or_else(|| IdInvalid::new(text, $expected))
            }
        }

        text_serde!($name, $expected);
    };
}

macro_rules! text_serde {
    ($name:ident, $expected:literal) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl Visitor<'_> for Text {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expected)
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }
    };
}

/// Names that are unique in a tenant, with it: `t1/hq`.
macro_rules! name_in_tenant {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name {
            /// Whose.
            pub tenant: crate::ids::TenantId,
            /// Its name.
            pub name: crate::ids::Name,
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}/{}", self.tenant, self.name)
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::ids::IdInvalid;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let (tenant, name) = text.split_once('/').unwrap_or((text, ""));
                Ok(Self { tenant: tenant.parse()?, name: name.parse()? })
            }
        }

        crate::directory::as_text!($name);
    };
}
pub(crate) use name_in_tenant;

plain_id!(
    /// A tenant: directory, applications, limits, administrators and keys belong to one.
    TenantId, "t", "a tenant id such as t1"
);
plain_id!(
    /// A relay. Relays serve every tenant, so their ids carry none.
    RelayId, "r", "a relay id such as r3"
);
tenant_id!(
    /// A published application.
    AppId, "a", "an application id such as a1-7"
);
tenant_id!(
    /// A connector group.
    GroupId, "g", "a connector group id such as g1-2"
);
tenant_id!(
    /// An enrolled connector.
    ConnectorId, "c", "a connector id such as c1-9"
);
tenant_id!(
    /// A certificate and its key for external hosts.
    CertificateId, "k", "a certificate id such as k1-4"
);
tenant_id!(
    /// A user of the embedded directory.
    UserId, "u", "a user id such as u1-7"
);
tenant_id!(
    /// A group of users; groups of connectors are [`GroupId`].
    UserGroupId, "ug", "a user group id such as ug1-3"
);
tenant_id!(
    /// A service token.
    ServiceTokenId, "st", "a service token id such as st1-4"
);
tenant_id!(
    /// An application or program that gets tokens of the OpenID provider.
    ClientId, "oc", "a client id such as oc1-4"
);
tenant_id!(
    /// A device that a tenant knows.
    DeviceId, "d", "a device id such as d1-4"
);
tenant_id!(
    /// A conditional access policy.
    PolicyId, "p", "a policy id such as p1-4"
);

tenant_id!(
    /// A user's request for access to an application.
    AccessRequestId, "rq", "an access request id such as rq1-4"
);

tenant_id!(
    /// A review of who is assigned to an application.
    AccessReviewId, "rv", "an access review id such as rv1-2"
);

impl TenantId {
    /// The tenant `default`, made at initialisation.
    pub const DEFAULT: Self = Self(1);
}

impl GroupId {
    /// The group `default` of the tenant `default`, made at initialisation.
    pub const DEFAULT: Self = Self::new(TenantId::DEFAULT, 1);
}

/// Ids that are 128 bits: 32 hex digits.
macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident, $expected:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u128);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdInvalid;
            fn from_str(text: &str) -> Result<Self, IdInvalid> {
                let hex = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
                let id = hex.then(|| u128::from_str_radix(text, 16).ok()).flatten();
                id.map(Self).ok_or_else(|| IdInvalid::new(text, $expected))
            }
        }

        text_serde!($name, $expected);
    };
}

random_id!(
    /// One request from a client, as the answer's headers, the logs and `postern explain` name it. 32 hex digits.
    RequestId, "a request id of 32 hex digits"
);
random_id!(
    /// One run of control, drawn at random at its start: versions of the log say what is newer only within one. After a restore
    /// from a backup the same numbers are given out again, for other changes. 32 hex digits.
    Epoch, "an epoch of 32 hex digits"
);
random_id!(
    /// One sign-in, drawn at random by control. It is no secret: what proves that a browser has it is sealed. 32 hex digits.
    SessionId, "a session id of 32 hex digits"
);

/// A name given by people: `[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?`, so that it fits DNS labels, URLs, file names and shells.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<str>);

impl Name {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Name {
    type Err = IdInvalid;
    fn from_str(text: &str) -> Result<Self, IdInvalid> {
        let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let bytes = text.as_bytes();
        let ends = bytes.first().is_some_and(|b| letter(*b)) && bytes.last().is_some_and(|b| letter(*b));
        if ends && bytes.len() <= NAME_BYTES_MAX && bytes.iter().all(|b| letter(*b) || *b == b'-') {
            return Ok(Self(text.into()));
        }
        Err(IdInvalid::new(text, "a name: 1 to 63 of a-z, 0-9 and '-', not starting or ending with '-'"))
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

text_serde!(Name, "a name of a-z, 0-9 and '-'");

/// Digits only, no sign, no leading zero: every id has exactly one spelling.
fn number(text: &str) -> Option<u32> {
    let canonical = !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
    canonical.then(|| text.parse().ok()).flatten()
}

const NAME_BYTES_MAX: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ids_have_one_spelling() {
        assert_eq!("a1-7".parse(), Ok(AppId::new(TenantId(1), 7)));
        assert_eq!("r3".parse(), Ok(RelayId(3)));
        for wrong in ["", "a", "a1", "a1-", "a-7", "a01-7", "a1-07", "a1-+7", "g1-7", "a1-7-", "a1-99999999999", "A1-7"]
        {
            assert!(wrong.parse::<AppId>().is_err(), "{wrong:?}");
        }
        assert!("t0".parse::<TenantId>().is_err());
        assert_eq!("ug1-3".parse(), Ok(UserGroupId::new(TenantId(1), 3)));
        assert!("ug1-3".parse::<UserId>().is_err() && "u1-3".parse::<UserGroupId>().is_err());
    }

    #[test]
    fn names_are_dns_labels() {
        for right in ["a", "0", "a-b", "x--y", &"a".repeat(63)] {
            assert!(right.parse::<Name>().is_ok(), "{right:?}");
        }
        for wrong in ["", "-", "-a", "a-", "A", "a_b", "a.b", "ä", &"a".repeat(64)] {
            assert!(wrong.parse::<Name>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn ids_are_json_text_and_map_keys() {
        let map = std::collections::BTreeMap::from([(GroupId::DEFAULT, RequestId(255))]);
        let json = serde_json::to_string(&map).unwrap();
        assert_eq!(json, r#"{"g1-1":"000000000000000000000000000000ff"}"#);
        assert_eq!(serde_json::from_str::<std::collections::BTreeMap<GroupId, RequestId>>(&json).unwrap(), map);
    }

    proptest! {
        #[test]
        fn every_id_reads_back(tenant in 1u32.., seq in 1u32.., request in any::<u128>()) {
            let app = AppId::new(TenantId(tenant), seq);
            prop_assert_eq!(app.to_string().parse(), Ok(app));
            prop_assert_eq!(RequestId(request).to_string().parse(), Ok(RequestId(request)));
            prop_assert_eq!(Epoch(request).to_string().parse(), Ok(Epoch(request)));
        }

        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,40}") {
            let _ = (text.parse::<ConnectorId>(), text.parse::<Name>(), text.parse::<RequestId>());
        }
    }
}
