//! `postern directory-sync …`: users and groups from LDAP directories.

use std::time::Duration;

use clap::Subcommand;
use postern_model::directory::AttributeName;
use postern_model::ids::Name;
use postern_service::duration;

use super::reference;

#[derive(Subcommand, Debug)]
pub(crate) enum DirectorySyncCommand {
    /// Follow an LDAP directory: its users and groups are made, changed and disabled here as they are there
    #[command(after_help = "Examples:
  postern directory-sync add corp --kind active-directory \\
      --users-base OU=People,DC=corp,DC=example --groups-base OU=Groups,DC=corp,DC=example
  postern directory-sync add hr --kind ldap --users-base ou=people,dc=example,dc=com \\
      --users-filter '(&(objectClass=inetOrgPerson)(employeeType=staff))' --login mail,uid

What reads the directory is a process beside it, see postern-directory-sync --help; its token:
postern connector token --group directory-sync-corp --out token")]
    Add(Box<AddSourceArgs>),
    /// List sources
    #[command(after_help = "Examples:
  postern directory-sync list")]
    List,
    /// Show what is read, and how it is mapped
    #[command(after_help = "Examples:
  postern directory-sync show corp")]
    Show {
        /// What it is called
        #[arg(value_parser = reference)]
        name: String,
    },
    /// Change a source: what is not given stays
    #[command(after_help = "Examples:
  postern directory-sync set corp --interval 10s --max-delete 5%
  postern directory-sync set corp --attribute cost_centre=departmentNumber --without-attribute title
  postern directory-sync set corp --unset users_filter
  postern directory-sync set corp --disabled=true")]
    Set(Box<SetSourceArgs>),
    /// Remove a source with its connector group; its users and groups stay as they are
    #[command(after_help = "Examples:
  postern directory-sync remove corp")]
    Remove {
        /// What it is called
        #[arg(value_parser = reference)]
        name: String,
    },
    /// Read everything now
    #[command(after_help = "Examples:
  postern directory-sync run corp --wait 5m
  postern directory-sync run corp --confirm-removals 120")]
    Run {
        /// What it is called
        #[arg(value_parser = reference)]
        name: String,
        /// So many users and groups may be gone in this pass: the number that the status names
        #[arg(long, value_name = "N")]
        confirm_removals: Option<u32>,
        /// Wait so long until it is over: exit status 1 if it failed
        #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
        wait: Option<Duration>,
    },
    /// What became of the last pass, with entries that could not be taken
    #[command(after_help = "Examples:
  postern directory-sync status corp
  postern directory-sync status corp -o json")]
    Status {
        /// What it is called
        #[arg(value_parser = reference)]
        name: String,
    },
}

#[derive(clap::Args, Debug)]
pub(crate) struct AddSourceArgs {
    /// Its name: a-z, 0-9 and -; its connector group is directory-sync-NAME
    pub(crate) name: Name,
    /// Which attributes the directory has: all defaults follow
    #[arg(long, value_name = "KIND", value_parser = ["active-directory", "ldap"])]
    pub(crate) kind: String,
    #[command(flatten)]
    pub(crate) settings: SourceArgs,
}

#[derive(clap::Args, Debug)]
pub(crate) struct SetSourceArgs {
    /// What it is called
    #[arg(value_parser = reference)]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) settings: SourceArgs,
    /// Attributes here that come from the directory no longer; their values stay
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) without_attribute: Vec<AttributeName>,
    /// Settings, by their keys in `-o json`, that go back to their default
    #[arg(long, value_name = "KEY", value_delimiter = ',')]
    pub(crate) unset: Vec<String>,
}

/// What can be said of a source at any time.
#[derive(clap::Args, Debug)]
pub(crate) struct SourceArgs {
    /// The entry below which users are
    #[arg(long, value_name = "DN")]
    pub(crate) users_base: Option<String>,
    /// Which entries below it are users
    #[arg(long, value_name = "FILTER")]
    pub(crate) users_filter: Option<String>,
    /// The entry below which groups are; without one no groups are read
    #[arg(long, value_name = "DN")]
    pub(crate) groups_base: Option<String>,
    /// Which entries below it are groups
    #[arg(long, value_name = "FILTER")]
    pub(crate) groups_filter: Option<String>,
    /// What an entry is called for ever; it stays once it is set [default: objectGUID or entryUUID]
    #[arg(long, value_name = "ATTRIBUTE")]
    pub(crate) id_attribute: Option<String>,
    /// Where login names come from, the first that an entry has [default: userPrincipalName or uid]
    #[arg(long, value_name = "ATTRIBUTE", value_delimiter = ',')]
    pub(crate) login: Vec<String>,
    /// The name for people [default: displayName or cn]
    #[arg(long, value_name = "ATTRIBUTE")]
    pub(crate) display_name: Option<String>,
    /// The mail address [default: mail]
    #[arg(long, value_name = "ATTRIBUTE")]
    pub(crate) mail: Option<String>,
    /// An attribute here and the directory's that it comes from; repeat it for more
    #[arg(long, value_name = "NAME=ATTRIBUTE", value_parser = attribute)]
    pub(crate) attribute: Vec<(AttributeName, String)>,
    /// A group's name [default: cn]
    #[arg(long, value_name = "ATTRIBUTE")]
    pub(crate) group_name: Option<String>,
    /// Who is in a group, as distinguished names [default: member]
    #[arg(long, value_name = "ATTRIBUTE")]
    pub(crate) member: Option<String>,
    /// What grows with each change of an entry [default: uSNChanged or modifyTimestamp]
    #[arg(long, value_name = "ATTRIBUTE")]
    pub(crate) changed: Option<String>,
    /// How often is looked at what has changed, at least 5s [default: 30s]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) interval: Option<Duration>,
    /// How often everything is read, so that it is known what is gone [default: 1h]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) full_every: Option<Duration>,
    /// How much of users, or of groups, may be gone at once; more is confirmed by an operator [default: 20%]
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub(crate) max_delete: Option<u8>,
    /// What becomes of users who are gone [default: disable]
    #[arg(long, value_name = "WHAT", value_parser = ["disable", "delete"])]
    pub(crate) gone: Option<String>,
    /// Nothing is read; users and groups stay as they are
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) disabled: Option<bool>,
}

fn attribute(text: &str) -> Result<(AttributeName, String), String> {
    let (name, from) = text.split_once('=').ok_or("NAME=ATTRIBUTE")?;
    Ok((name.parse().map_err(|error| format!("{error}"))?, from.to_owned()))
}

fn percent(text: &str) -> Result<u8, String> {
    let number = text.strip_suffix('%').unwrap_or(text).parse().ok().filter(|percent| *percent <= 100);
    number.ok_or_else(|| "0% to 100%".to_owned())
}
