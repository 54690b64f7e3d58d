//! Who asks for a change, as the audit log names them.

use std::fmt;

use postern_model::directory::LoginName;
use postern_model::ids::{ConnectorId, Name};

/// Who asks for a change.
#[derive(Debug, Clone)]
pub(crate) enum Actor {
    /// Someone at the admin socket.
    Uid(u32),
    /// A connector that proved who it is.
    Connector(ConnectorId),
    /// A relay, by its name.
    Relay(String),
    /// A user, on their own page.
    User(LoginName),
    /// An identity provider, by the name of its SCIM token.
    Scim(Name),
    /// A process that reads a directory, by the name of its source.
    DirectorySync(Name),
    /// Control itself.
    Control,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uid(uid) => match nix::unistd::User::from_uid((*uid).into()) {
                Ok(Some(user)) => write!(f, "uid {uid} ({})", user.name),
                Ok(None) | Err(_) => write!(f, "uid {uid}"),
            },
            Self::Connector(id) => write!(f, "connector {id}"),
            Self::Relay(name) => write!(f, "relay {name}"),
            Self::User(login) => write!(f, "user {login}"),
            Self::Scim(name) => write!(f, "scim {name}"),
            Self::DirectorySync(name) => write!(f, "directory-sync {name}"),
            Self::Control => f.write_str("control"),
        }
    }
}
