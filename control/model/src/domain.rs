//! Domains of tenants: whose they are, as a record in the DNS shows that only who runs the domain can put there.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::app_url::{ExternalUrl, UrlInvalid};
use crate::directory::as_text;
use crate::host::is_at_or_below;
use crate::ids::{IdInvalid, TenantId};
use crate::snapshot::Snapshot;

/// A DNS name of two labels or more, in lower case, no wildcard. It stands for itself and all names below.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainName(Box<str>);

/// Text that names no domain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DomainNameInvalid {
    /// No host name at all.
    #[error(transparent)]
    Url(#[from] UrlInvalid),
    /// More or less than a domain.
    #[error("a domain is a name such as example.com and nothing else: no port, no path, no wildcard")]
    NotAlone,
}

impl DomainName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a host (lower case) is the domain or below it.
    #[must_use]
    pub fn covers(&self, host: &str) -> bool {
        is_at_or_below(host, &self.0)
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for DomainName {
    type Err = DomainNameInvalid;

    fn from_str(text: &str) -> Result<Self, DomainNameInvalid> {
        let url = ExternalUrl::parse(&format!("https://{text}/"))?;
        // What is read as more than a host is spelled differently than the host that was read.
        let alone = !url.wildcard && text.eq_ignore_ascii_case(&url.host) && url.host.contains('.');
        alone.then_some(Self(url.host)).ok_or(DomainNameInvalid::NotAlone)
    }
}

as_text!(DomainName);

/// A tenant's domain by name. As text: `t1/example.com`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainKey {
    /// Whose.
    pub tenant: TenantId,
    /// Its name.
    pub name: DomainName,
}

/// Text that is no [`DomainKey`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DomainKeyInvalid {
    /// Its tenant.
    #[error(transparent)]
    Tenant(#[from] IdInvalid),
    /// Its name.
    #[error(transparent)]
    Name(#[from] DomainNameInvalid),
}

impl fmt::Display for DomainKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tenant, self.name)
    }
}

impl FromStr for DomainKey {
    type Err = DomainKeyInvalid;

    fn from_str(text: &str) -> Result<Self, DomainKeyInvalid> {
        let (tenant, name) = text.split_once('/').unwrap_or((text, ""));
        Ok(Self { tenant: tenant.parse()?, name: name.parse()? })
    }
}

as_text!(DomainKey);

/// A domain that a tenant says is its own, and whether the DNS agrees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    /// Whose.
    pub tenant: TenantId,
    /// Its name.
    pub name: DomainName,
    /// What the record has to say, made for this tenant and this domain alone.
    pub token: String,
    /// When the record was found; without it the domain is not verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_unix: Option<u64>,
}

impl Domain {
    /// Its place among all domains.
    #[must_use]
    pub fn key(&self) -> DomainKey {
        DomainKey { tenant: self.tenant, name: self.name.clone() }
    }

    /// The name of the TXT record that shows whose it is.
    #[must_use]
    pub fn record_name(&self) -> String {
        format!("{RECORD_LABEL}.{}", self.name)
    }

    /// What that record says.
    #[must_use]
    pub fn record_value(&self) -> String {
        format!("{RECORD_KEY}={}", self.token)
    }
}

/// The verified domain that a host (lower case) belongs to: the longest one.
#[must_use]
pub fn verified<'a>(snapshot: &'a Snapshot, host: &str) -> Option<&'a Domain> {
    let all = snapshot.domains.values().filter(|domain| domain.verified_unix.is_some() && domain.name.covers(host));
    all.max_by_key(|domain| domain.name.as_str().len())
}

/// Another tenant's verified domain that is a part of everything below `host` (lower case).
#[must_use]
pub fn foreign_below<'a>(snapshot: &'a Snapshot, tenant: TenantId, host: &DomainName) -> Option<&'a Domain> {
    let is_foreign = |domain: &&Domain| domain.tenant != tenant && domain.verified_unix.is_some();
    snapshot.domains.values().filter(is_foreign).find(|domain| host.covers(domain.name.as_str()))
}

/// First label of the record's name.
pub const RECORD_LABEL: &str = "_postern-challenge";
/// What stands before the token in the record.
pub const RECORD_KEY: &str = "postern-verification";
/// Domains of one tenant.
pub const DOMAINS_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(tenant: u32, name: &str, verified_unix: Option<u64>) -> Domain {
        Domain { tenant: TenantId(tenant), name: name.parse().unwrap(), token: "t".into(), verified_unix }
    }

    #[test]
    fn a_domain_is_a_name_and_nothing_else() {
        assert_eq!("Example.COM".parse::<DomainName>().unwrap().as_str(), "example.com");
        for wrong in
            ["", "com", "*.example.com", "example.com:443", "example.com/x", "192.0.2.1", "a b.c", "example.com."]
        {
            assert!(wrong.parse::<DomainName>().is_err(), "{wrong:?}");
        }
        let key = domain(3, "example.com", None).key();
        assert_eq!((key.to_string().as_str(), key.to_string().parse()), ("t3/example.com", Ok(key.clone())));
    }

    #[test]
    fn a_domain_covers_itself_and_what_is_below() {
        let name: DomainName = "example.com".parse().unwrap();
        assert!(name.covers("example.com") && name.covers("a.example.com") && name.covers("a.b.example.com"));
        assert!(!name.covers("badexample.com") && !name.covers("com") && !name.covers("example.com.evil.test"));
    }

    #[test]
    fn the_longest_verified_domain_decides() {
        let all =
            [domain(1, "example.com", Some(1)), domain(2, "b.example.com", Some(1)), domain(3, "c.example.com", None)];
        let domains = all.into_iter().map(|domain| (domain.key(), domain)).collect();
        let snapshot = Snapshot { domains, ..Snapshot::default() };
        let owner = |host: &str| verified(&snapshot, host).map(|domain| domain.tenant.0);
        assert_eq!(
            (owner("a.example.com"), owner("a.b.example.com"), owner("c.example.com")),
            (Some(1), Some(2), Some(1))
        );
        assert_eq!(owner("example.org"), None);
        let below = |tenant: u32| {
            let host: DomainName = "example.com".parse().unwrap();
            foreign_below(&snapshot, TenantId(tenant), &host).map(|domain| domain.name.to_string())
        };
        assert_eq!((below(1).as_deref(), below(2).as_deref()), (Some("b.example.com"), Some("example.com")));
    }

    #[test]
    fn a_record_names_its_token() {
        let domain = domain(1, "example.com", None);
        assert_eq!(domain.record_name(), "_postern-challenge.example.com");
        assert_eq!(domain.record_value(), "postern-verification=t");
    }
}
