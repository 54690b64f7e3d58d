//! `postern user …` and `postern group …`.

use std::path::PathBuf;

use clap::{ArgGroup, Subcommand};
use postern_model::directory::{
    AttributeName, DESCRIPTION_BYTES_MAX, DISPLAY_NAME_BYTES_MAX, Line, LoginName, MailAddress, Rule, VALUE_BYTES_MAX,
};
use postern_model::ids::Name;

use super::expiry::{Expiry, expiry};
use super::reference;

#[derive(Subcommand, Debug)]
pub(crate) enum UserCommand {
    /// Make a user
    #[command(after_help = "Examples:
  postern user create anna@example.com --display-name \"Anna Berg\" --password
  postern user create berta --mail berta@example.com --attribute department=sales \\
      --attribute country=DE
  postern user create carl@partner.example --guest --expires 30d --password-file carl.password
  pwgen 20 1 | postern user create dora --password-stdin

A login name has 1 to 254 of a-z, 0-9 and ._%+'-, and may have @ and a domain behind. A password
has at least 8 characters and is not one of those that are tried first; nothing else is asked of
it. Without a password the user is there and cannot sign in with one.")]
    Create(UserCreateArgs),
    /// List users by login name
    #[command(after_help = "Examples:
  postern user list
  postern user list --filter berg
  postern user list --limit 5000 -o json
  postern user list --after dora")]
    List(UserListArgs),
    /// Show one user, with groups and what they are assigned to
    #[command(after_help = "Examples:
  postern user show anna@example.com
  postern user show u1-7 -o json")]
    Show {
        /// Login name or id
        #[arg(value_name = "LOGIN", value_parser = reference)]
        name: String,
    },
    /// Change a user; what is not given stays
    #[command(after_help = "Examples:
  postern user set berta --attribute department=support --attribute country=
  postern user set carl@partner.example --expires 2030-01-31T00:00:00Z
  postern user set dora --login dora@example.com --mail dora@example.com
  postern user set emil --guest --expires never
  postern user set emil --member")]
    Set(UserSetArgs),
    /// Keep a user from signing in; groups and assignments stay and count for nothing meanwhile
    #[command(after_help = "Examples:
  postern user disable berta")]
    Disable {
        /// Login name or id
        #[arg(value_name = "LOGIN", value_parser = reference)]
        name: String,
    },
    /// Let a user sign in again
    #[command(after_help = "Examples:
  postern user enable berta")]
    Enable {
        /// Login name or id
        #[arg(value_name = "LOGIN", value_parser = reference)]
        name: String,
    },
    /// Give a user a password: asked for twice, unless it comes from a file or standard input
    #[command(after_help = "Examples:
  postern user password berta
  postern user password berta --password-file berta.password")]
    Password {
        /// Login name or id
        #[arg(value_name = "LOGIN", value_parser = reference)]
        name: String,
        #[command(flatten)]
        source: PasswordSource,
    },
    /// Second factors: list them, remove one, or all of who lost their device
    #[command(subcommand)]
    Factor(super::FactorCommand),
    /// Say that a provider's user is this one: nobody is taken for a user by their login name alone
    #[command(after_help = "Examples:
  postern user link berta --idp corp --sub 248289761001")]
    Link {
        /// Login name or id
        #[arg(value_name = "LOGIN", value_parser = reference)]
        name: String,
        #[command(flatten)]
        whose: LinkArgs,
    },
    /// Say that it is not; sessions that came of it end
    #[command(after_help = "Examples:
  postern user unlink berta --idp corp --sub 248289761001")]
    Unlink {
        /// Login name or id
        #[arg(value_name = "LOGIN", value_parser = reference)]
        name: String,
        #[command(flatten)]
        whose: LinkArgs,
    },
    /// Delete a user, with password, second factors, memberships and assignments
    #[command(after_help = "Examples:
  postern user delete berta")]
    Delete {
        /// Login name or id
        #[arg(value_name = "LOGIN", value_parser = reference)]
        name: String,
    },
}

/// A provider's user.
#[derive(clap::Args, Debug)]
pub(crate) struct LinkArgs {
    /// The provider
    #[arg(long, value_name = "NAME")]
    pub(crate) idp: Name,
    /// What it calls the user: its claim sub
    #[arg(long, value_name = "SUB")]
    pub(crate) sub: String,
}

#[derive(clap::Args, Debug)]
pub(crate) struct UserCreateArgs {
    /// What they type to sign in
    #[arg(value_name = "LOGIN")]
    pub(crate) login: LoginName,
    /// What people call them
    #[arg(long, value_name = "TEXT")]
    pub(crate) display_name: Option<Line<DISPLAY_NAME_BYTES_MAX>>,
    /// Where they get mail
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) mail: Option<MailAddress>,
    /// What rules of groups ask for
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = attribute)]
    pub(crate) attributes: Vec<(AttributeName, Line<VALUE_BYTES_MAX>)>,
    /// They do not belong to the organisation
    #[arg(long)]
    pub(crate) guest: bool,
    /// When a guest's time is over: 30d, 2030-01-31T00:00:00Z or never
    #[arg(long, value_name = "WHEN", requires = "guest", value_parser = expiry)]
    pub(crate) expires: Option<Expiry>,
    /// Ask for a password, twice
    #[arg(long, conflicts_with_all = ["password_file", "password_stdin"])]
    pub(crate) password: bool,
    #[command(flatten)]
    pub(crate) source: PasswordSource,
}

/// Where a password comes from; never from the command line, which others can see.
#[derive(clap::Args, Debug)]
pub(crate) struct PasswordSource {
    /// Take the password from a file
    #[arg(long, value_name = "FILE", conflicts_with = "password_stdin")]
    pub(crate) password_file: Option<PathBuf>,
    /// Take the password from standard input
    #[arg(long)]
    pub(crate) password_stdin: bool,
}

#[derive(clap::Args, Debug)]
pub(crate) struct UserListArgs {
    /// Only those with this in their login name, display name or mail address
    #[arg(long, value_name = "TEXT", value_parser = reference)]
    pub(crate) filter: Option<String>,
    /// Only those behind this login name
    #[arg(long, value_name = "LOGIN")]
    pub(crate) after: Option<LoginName>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=200_000))]
    pub(crate) limit: u32,
}

#[derive(clap::Args, Debug)]
#[command(group = ArgGroup::new("change").required(true).multiple(true)
    .args(["login", "display_name", "mail", "attributes", "guest", "member", "expires"]))]
pub(crate) struct UserSetArgs {
    /// Login name or id
    #[arg(value_name = "LOGIN", value_parser = reference)]
    pub(crate) name: String,
    /// Another login name
    #[arg(long, value_name = "LOGIN")]
    pub(crate) login: Option<LoginName>,
    /// What people call them; empty for nothing
    #[arg(long, value_name = "TEXT")]
    pub(crate) display_name: Option<Line<DISPLAY_NAME_BYTES_MAX>>,
    /// Where they get mail; empty for nowhere
    #[arg(long, value_name = "ADDRESS", value_parser = mail_or_nothing)]
    pub(crate) mail: Option<Change<MailAddress>>,
    /// What rules of groups ask for; NAME= removes one
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = attribute_or_nothing)]
    pub(crate) attributes: Vec<(AttributeName, Line<VALUE_BYTES_MAX>)>,
    /// They are a guest from now on
    #[arg(long, conflicts_with = "member")]
    pub(crate) guest: bool,
    /// They belong to the organisation from now on
    #[arg(long, conflicts_with = "expires")]
    pub(crate) member: bool,
    /// When a guest's time is over: 30d, 2030-01-31T00:00:00Z or never
    #[arg(long, value_name = "WHEN", value_parser = expiry)]
    pub(crate) expires: Option<Expiry>,
}

#[derive(Subcommand, Debug)]
pub(crate) enum UserGroupCommand {
    /// Make a group of users
    #[command(after_help = "Examples:
  postern group create staff --description \"Everyone on the payroll\" --owner anna@example.com
  postern group create sales --rule 'department == \"sales\" and not title contains \"intern\"'
  postern group create dach --rule 'country in [\"DE\", \"AT\", \"CH\"] and kind == \"member\"'

Without a rule users and groups are put into it with `group add`. With one, whoever it is true of
is in it:

  KEY == \"TEXT\"       KEY != \"TEXT\"        KEY in [\"TEXT\", \"TEXT\"]     KEY present
  KEY contains \"T\"    KEY starts_with \"T\"  KEY ends_with \"T\"
  joined with and, or, not and parentheses; not binds closest, then and

KEY is an attribute, login, mail, display_name or kind (member or guest). Case matters. Of an
attribute that a user does not have only != is true. A rule has at most 4096 bytes.")]
    Create(UserGroupCreateArgs),
    /// List groups of users
    #[command(after_help = "Examples:
  postern group list
  postern group list --tenant acme -o json")]
    List,
    /// Show one group, with who is in it
    #[command(after_help = "Examples:
  postern group show sales")]
    Show {
        /// Name or id
        #[arg(value_parser = reference)]
        name: String,
    },
    /// Change a group; what is not given stays
    #[command(after_help = "Examples:
  postern group set sales --rule 'department in [\"sales\", \"presales\"]'
  postern group set sales --no-rule
  postern group set staff --owner berta --remove-owner anna@example.com
  postern group set staff --name everybody --description Everybody")]
    Set(UserGroupSetArgs),
    /// Put users and groups into a group
    #[command(after_help = "Examples:
  postern group add staff --user anna@example.com --user berta
  postern group add staff --group sales --group support

Groups are nested at most 16 deep, and none can be in itself.")]
    Add(MembersArgs),
    /// Take users and groups out of a group
    #[command(after_help = "Examples:
  postern group remove staff --user berta
  postern group remove staff --group support")]
    Remove(MembersArgs),
    /// Delete a group; its users and what is nested in it stay
    #[command(after_help = "Examples:
  postern group delete staff
  postern group delete staff --force")]
    Delete {
        /// Name or id
        #[arg(value_parser = reference)]
        name: String,
        /// Also when it is assigned to applications or nested in other groups; says what goes
        #[arg(long)]
        force: bool,
    },
    /// Tell whether a user is in a group, or a rule is true of them, and why
    #[command(after_help = "Examples:
  postern group test sales --user anna@example.com
  postern group test --rule 'login ends_with \"@example.com\"' --user berta")]
    Test(TestArgs),
}

#[derive(clap::Args, Debug)]
pub(crate) struct UserGroupCreateArgs {
    /// Its name: a-z, 0-9 and -
    pub(crate) name: Name,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<Line<DESCRIPTION_BYTES_MAX>>,
    /// Whoever this is true of is in it
    #[arg(long, value_name = "RULE")]
    pub(crate) rule: Option<Rule>,
    /// Who looks after it
    #[arg(long = "owner", value_name = "LOGIN", value_parser = reference)]
    pub(crate) owners: Vec<String>,
}

#[derive(clap::Args, Debug)]
#[command(group = ArgGroup::new("change").required(true).multiple(true)
    .args(["new_name", "description", "rule", "no_rule", "owners", "owners_removed"]))]
pub(crate) struct UserGroupSetArgs {
    /// Name or id
    #[arg(value_parser = reference)]
    pub(crate) name: String,
    /// Another name
    #[arg(long = "name", value_name = "NAME")]
    pub(crate) new_name: Option<Name>,
    /// What it is for; empty for nothing
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<Line<DESCRIPTION_BYTES_MAX>>,
    /// Whoever this is true of is in it; only for a group that nobody was put into
    #[arg(long, value_name = "RULE", conflicts_with = "no_rule")]
    pub(crate) rule: Option<Rule>,
    /// Users and groups are put into it from now on
    #[arg(long)]
    pub(crate) no_rule: bool,
    /// Who looks after it from now on, too
    #[arg(long = "owner", value_name = "LOGIN", value_parser = reference)]
    pub(crate) owners: Vec<String>,
    /// Who does not any more
    #[arg(long = "remove-owner", value_name = "LOGIN", value_parser = reference)]
    pub(crate) owners_removed: Vec<String>,
}

#[derive(clap::Args, Debug)]
#[command(group = ArgGroup::new("members").required(true).multiple(true).args(["users", "groups"]))]
pub(crate) struct MembersArgs {
    /// The group: name or id
    #[arg(value_parser = reference)]
    pub(crate) name: String,
    /// A user: login name or id
    #[arg(long = "user", value_name = "LOGIN", value_parser = reference)]
    pub(crate) users: Vec<String>,
    /// A user group: name or id
    #[arg(long = "group", value_name = "NAME", value_parser = reference)]
    pub(crate) groups: Vec<String>,
}

#[derive(clap::Args, Debug)]
#[command(group = ArgGroup::new("tested").required(true).args(["name", "rule"]))]
pub(crate) struct TestArgs {
    /// The group: name or id
    #[arg(value_parser = reference)]
    pub(crate) name: Option<String>,
    /// A rule that no group has yet
    #[arg(long, value_name = "RULE")]
    pub(crate) rule: Option<Rule>,
    /// The user: login name or id
    #[arg(long, value_name = "LOGIN", value_parser = reference)]
    pub(crate) user: String,
}

/// A value, or nothing where it is given as empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change<T>(pub(crate) Option<T>);

fn attribute(text: &str) -> Result<(AttributeName, Line<VALUE_BYTES_MAX>), String> {
    match attribute_or_nothing(text)? {
        (_, value) if value.as_str().is_empty() => Err("write NAME=VALUE".into()),
        attribute => Ok(attribute),
    }
}

fn attribute_or_nothing(text: &str) -> Result<(AttributeName, Line<VALUE_BYTES_MAX>), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    let name = name.parse().map_err(|error| format!("{error}"))?;
    Ok((name, value.parse().map_err(|error| format!("{error}"))?))
}

fn mail_or_nothing(text: &str) -> Result<Change<MailAddress>, String> {
    if text.is_empty() {
        return Ok(Change(None));
    }
    text.parse().map(|mail| Change(Some(mail))).map_err(|error| format!("{error}"))
}
