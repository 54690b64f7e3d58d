//! `postern scim …`: users and groups from an identity provider.

use std::path::PathBuf;

use clap::Subcommand;
use postern_model::ids::Name;

use super::ValidityArgs;

#[derive(Subcommand, Debug)]
pub(crate) enum ScimCommand {
    /// Let an identity provider make and change the tenant's users and groups; its token is shown once
    #[command(after_help = "Examples:
  postern scim enable --name entra --out scim.token
  postern scim enable --tenant acme --ttl 365d > scim.token

Stdout holds the token and nothing else. Control keeps its hash only: a lost token is rotated.
The URL that the identity provider is told is in `postern scim show`.")]
    Enable {
        /// What the audit log calls the token's holder: scim NAME
        #[arg(long, value_name = "NAME", default_value = "provider")]
        name: Name,
        #[command(flatten)]
        validity: ValidityArgs,
        /// Write it to this new file, readable by its owner only, instead of stdout
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Show where SCIM is served, and the token without anything of its secret
    #[command(after_help = "Examples:
  postern scim show
  postern scim show --tenant acme -o json")]
    Show,
    /// Give the token a new secret; the old one is good no longer, from now on
    #[command(
        mut_arg("ttl", |ttl| ttl.help("How long it is good, from now, at most 366d; its end stays as it is unless this is given")),
        after_help = "Examples:
  postern scim rotate --out scim.token.new
  postern scim rotate --ttl 90d > scim.token"
    )]
    Rotate {
        #[command(flatten)]
        validity: ValidityArgs,
        /// Write it to this new file, readable by its owner only, instead of stdout
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Let nobody change users and groups by SCIM any more; they stay as they are
    #[command(after_help = "Examples:
  postern scim disable")]
    Disable,
}
