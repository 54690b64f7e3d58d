//! What can be limited, and how it is written.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

use crate::directory::{LoginInvalid, LoginName};
use crate::ids::{AppId, TenantId};
use crate::prefix::IpPrefix;
use crate::snapshot::Snapshot;

/// What a limit is about. As text: `tenant`, `app/a1-7`, `app/a1-7/source`, `user/alice`, `source`, `source/10.0.0.0/8`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LimitScope {
    /// All requests of a tenant together.
    Tenant,
    /// All requests to an application together.
    App(AppId),
    /// All requests of the user with this login name together, to applications that ask who it is.
    User(LoginName),
    /// Each source address (IPv6: each /64) by itself; with an application, only its requests.
    Source {
        /// To this application only.
        app: Option<AppId>,
    },
    /// All addresses of a prefix together. They are not counted as [`LimitScope::Source`] without an application then.
    SourcePrefix(IpPrefix),
    /// A scope of a newer version: kept, not applied.
    Other(Box<str>),
}

/// A tenant's scope: one limit each.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LimitKey {
    /// Whose.
    pub tenant: TenantId,
    /// What.
    pub scope: LimitScope,
}

impl LimitScope {
    /// As people write it: applications by name.
    #[must_use]
    pub fn name(&self, snapshot: &Snapshot) -> String {
        let app = |id: &AppId| {
            let name = snapshot.apps.get(id).map(|app| app.name.to_string());
            name.unwrap_or_else(|| id.to_string())
        };
        match self {
            Self::App(id) => format!("app/{}", app(id)),
            Self::Source { app: Some(id) } => format!("app/{}/source", app(id)),
            Self::Tenant | Self::User(_) | Self::Source { app: None } | Self::SourcePrefix(_) | Self::Other(_) => {
                self.to_string()
            }
        }
    }

    /// Reads what people write; `app` finds an application by its name or id.
    ///
    /// # Errors
    /// What `app` says, or the forms that there are.
    pub fn parse<E: From<ScopeInvalid>>(text: &str, app: impl Fn(&str) -> Result<AppId, E>) -> Result<Self, E> {
        let invalid = |reason: Option<String>| E::from(ScopeInvalid::new(text, reason));
        match text.split_once('/') {
            None => match text {
                "tenant" => Ok(Self::Tenant),
                "source" => Ok(Self::Source { app: None }),
                _ => Err(invalid(None)),
            },
            Some(("app", name)) => match name.split_once('/') {
                None => Ok(Self::App(app(name)?)),
                Some((name, "source")) => Ok(Self::Source { app: Some(app(name)?) }),
                Some(_) => Err(invalid(None)),
            },
            Some(("user", name)) => {
                name.parse().map(Self::User).map_err(|error: LoginInvalid| invalid(Some(error.to_string())))
            }
            Some(("source", prefix)) => prefix
                .parse()
                .map(Self::SourcePrefix)
                .map_err(|error: crate::prefix::PrefixInvalid| invalid(Some(error.to_string()))),
            Some(_) => Err(invalid(None)),
        }
    }

    /// The application it is about.
    #[must_use]
    pub const fn app(&self) -> Option<AppId> {
        match self {
            Self::App(id) => Some(*id),
            Self::Source { app } => *app,
            Self::Tenant | Self::User(_) | Self::SourcePrefix(_) | Self::Other(_) => None,
        }
    }
}

/// Text that names nothing that can be limited.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not something to limit{}: write app/NAME, app/NAME/source, tenant, user/LOGIN, source or source/PREFIX",
    reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default()
)]
pub struct ScopeInvalid {
    /// What was given, cut to 64 characters.
    pub text: String,
    /// What is wrong with a part of it.
    pub reason: Option<String>,
}

impl ScopeInvalid {
    fn new(text: &str, reason: Option<String>) -> Self {
        Self { text: text.chars().take(64).collect(), reason }
    }
}

impl fmt::Display for LimitScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant => f.write_str("tenant"),
            Self::App(id) => write!(f, "app/{id}"),
            Self::User(name) => write!(f, "user/{name}"),
            Self::Source { app: None } => f.write_str("source"),
            Self::Source { app: Some(id) } => write!(f, "app/{id}/source"),
            Self::SourcePrefix(prefix) => write!(f, "source/{prefix}"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

impl Serialize for LimitScope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LimitScope {
    /// Never fails: what this version does not know is kept as [`LimitScope::Other`], so that an older relay goes on.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::known(&String::deserialize(deserializer)?))
    }
}

impl LimitScope {
    pub(super) fn known(text: &str) -> Self {
        let by_id = |id: &str| id.parse().map_err(|_| ScopeInvalid::new(id, None));
        Self::parse(text, by_id).unwrap_or_else(|_| Self::Other(text.chars().take(256).collect()))
    }
}

impl fmt::Display for LimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tenant, self.scope)
    }
}

impl Serialize for LimitKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LimitKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (tenant, scope) = text.split_once('/').ok_or_else(|| de::Error::custom("a limit's key is TENANT/SCOPE"))?;
        Ok(Self { tenant: tenant.parse().map_err(de::Error::custom)?, scope: LimitScope::known(scope) })
    }
}
