//! Landlock: the state folder is all there is on disk, no TCP port can be bound or connected to, no process outside
//! signalled. As much of it as the kernel knows.

use std::path::Path;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, PathBeneath, PathFd, RestrictionStatus,
    Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope,
};

/// How much of it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Landlock {
    /// All of it.
    Full,
    /// The kernel is older than 6.12: files, and perhaps TCP, but not everything.
    Partial,
    /// Nothing.
    Absent(String),
}

impl Landlock {
    pub(super) fn warning(&self) -> Option<String> {
        match self {
            Self::Full => None,
            Self::Partial => Some(String::from("Landlock is partly in force: the kernel is older than Linux 6.12")),
            Self::Absent(why) => Some(format!("the dataplane runs without Landlock: {why}")),
        }
    }
}

pub(super) fn restrict(state_dir: &Path) -> Landlock {
    match enforce(state_dir) {
        Ok(status) => match status.ruleset {
            RulesetStatus::FullyEnforced => Landlock::Full,
            RulesetStatus::PartiallyEnforced => Landlock::Partial,
            RulesetStatus::NotEnforced => {
                Landlock::Absent(String::from("this kernel does not have it, or not switched on (lsm=)"))
            }
        },
        Err(error) => Landlock::Absent(error),
    }
}

fn enforce(state_dir: &Path) -> Result<RestrictionStatus, String> {
    let folder = PathFd::new(state_dir).map_err(|error| error.to_string())?;
    enforce_but(folder).map_err(|error| error.to_string())
}

/// Everything but this folder is closed.
fn enforce_but(folder: PathFd) -> Result<RestrictionStatus, RulesetError> {
    let all = AccessFs::from_all(KNOWN);
    // Files are made, written, renamed and removed in the state folder; no folders, devices, sockets or links in it.
    let in_state_dir = AccessFs::ReadFile
        | AccessFs::ReadDir
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::RemoveFile;
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)?
        .handle_access(AccessNet::from_all(KNOWN))?
        .scope(Scope::from_all(KNOWN))?
        .create()?;
    ruleset.add_rule(PathBeneath::new(folder, in_state_dir))?.restrict_self()
}

/// The newest ABI whose rights are asked for: Linux 6.12. Later ones are to be looked at before they are.
const KNOWN: ABI = ABI::V6;
