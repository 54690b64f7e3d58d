//! Who the dataplane runs as: started as root, an unprivileged user; otherwise whoever started the relay.

use nix::unistd::{Gid, Uid, User, geteuid};
use postern_service::failure::Failure;

/// The user to change to before the dataplane's first instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DataplaneUser {
    pub(crate) name: String,
    pub(crate) uid: Uid,
    pub(crate) gid: Gid,
}

/// `None` when this process cannot change users, and so the dataplane shares the supervisor's.
pub(crate) fn choose(asked: Option<&str>) -> Result<Option<DataplaneUser>, Failure> {
    if !geteuid().is_root() {
        return match asked {
            Some(name) => {
                Err(Failure::new(format!("--user {name}: only root can change users")).cure("start without --user"))
            }
            None => Ok(None),
        };
    }
    match asked {
        Some(name) => named(name, look_up(name)?).map(Some),
        None => packaged().map(Some),
    }
}

fn packaged() -> Result<DataplaneUser, Failure> {
    for name in ["postern-relay", "nobody"] {
        if let Some(user) = look_up(name)? {
            return named(name, Some(user));
        }
    }
    Err(Failure::new("there is no user to run the dataplane as: neither postern-relay nor nobody exists")
        .cure("useradd --system postern-relay"))
}

fn named(name: &str, found: Option<User>) -> Result<DataplaneUser, Failure> {
    match found {
        Some(user) if user.uid.is_root() => {
            Err(Failure::new(format!("--user {name} is root")).cure("name an unprivileged user: it meets the network"))
        }
        Some(user) => Ok(DataplaneUser { name: user.name, uid: user.uid, gid: user.gid }),
        None => {
            Err(Failure::new(format!("--user {name}: there is no such user")).cure(format!("useradd --system {name}")))
        }
    }
}

fn look_up(name: &str) -> Result<Option<User>, Failure> {
    User::from_name(name).map_err(|error| Failure::new(format!("cannot look up the user {name}: {error}")))
}
