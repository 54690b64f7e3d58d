//! `postern app …`.

use std::path::PathBuf;

use clap::{ArgGroup, Subcommand, ValueEnum};
use postern_model::config::Preauth;
use postern_model::ids::Name;

use super::doctor::RelayAddress;
use super::reference;

#[derive(Subcommand, Debug)]
pub(crate) enum AppCommand {
    /// Publish an application
    #[command(after_help = "Examples:
  postern app publish wiki --external https://wiki.example.com/ \\
      --internal http://10.0.0.5:8080/ --preauth passthrough
  postern app publish crm --external https://crm.example.com/ \\
      --internal https://crm.corp.internal/ --preauth passthrough \\
      --group hq --cert crm.pem --key crm.key
  postern app publish hr --external https://hr.example.com/ \\
      --internal https://hr.corp.internal/ --preauth passthrough \\
      --set backend_ca=@corp-ca.pem --set backend_timeout_ms=long
  postern app publish api --external https://api.example.com/ \\
      --internal http://10.0.0.7:8080/ --preauth oidc")]
    Publish(PublishArgs),
    /// List applications
    #[command(after_help = "Examples:
  postern app list
  postern app list --tenant acme -o json")]
    List,
    /// Show one application
    #[command(after_help = "Examples:
  postern app show wiki")]
    Show {
        /// Name or id
        #[arg(value_parser = reference)]
        name: String,
    },
    /// Change an application; what is not given stays
    #[command(after_help = "Examples:
  postern app set wiki --internal http://10.0.0.6:8080/
  postern app set wiki --group branch
  postern app set wiki --preauth oidc
  postern app set wiki --cert wiki.pem --key wiki.key
  postern app set wiki --set backend_tls_verify=false --unset backend_timeout_ms
  postern app set wiki --set sso_assertion=jwt \\
      --set 'sso_headers=X-Remote-User=login; X-Mail=lower(mail)'")]
    Set(SetArgs),
    /// Look from its connectors, and from outside, whether it can be reached and users signed on
    #[command(after_help = CHECK_HELP)]
    Check(CheckArgs),
    /// Take an application off; its requests in progress end
    #[command(after_help = "Examples:
  postern app unpublish wiki")]
    Unpublish {
        /// Name or id
        #[arg(value_parser = reference)]
        name: String,
    },
}

const CHECK_HELP: &str = "Ends with 1 when a step fails. A check waits 8 s for a connection and its answer, even where
requests wait longer (connect_timeout_ms, backend_timeout_ms), and 25 s in all; from outside
5 s for each step.

Examples:
  postern app check wiki
  postern app check wiki --relay relay.example.com:443
  postern app check wiki --connector c1-2 --no-sso
  postern app check wiki --user anna -o json";

#[derive(clap::Args, Debug)]
pub(crate) struct CheckArgs {
    /// Name or id
    #[arg(value_parser = reference)]
    pub(crate) name: String,
    /// Only from this connector [default: all of the group that are online]
    #[arg(long, value_name = "C", value_parser = reference)]
    pub(crate) connector: Option<String>,
    /// Try to sign this user on, by login or id; the application sees no password of theirs
    #[arg(long, value_name = "U", value_parser = reference, conflicts_with = "no_sso")]
    pub(crate) user: Option<String>,
    /// Leave out what is asked of users and how they are signed on
    #[arg(long)]
    pub(crate) no_sso: bool,
    /// Leave out the look from outside, through relays, that this command takes itself
    #[arg(long)]
    pub(crate) no_outside: bool,
    /// Look from outside at this relay [default: those that control dials, else where the external host leads]
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "no_outside")]
    pub(crate) relay: Vec<RelayAddress>,
}

#[derive(clap::Args, Debug)]
pub(crate) struct PublishArgs {
    /// Its name: a-z, 0-9 and -
    pub(crate) name: Name,
    /// What users open: `https://HOST[:PORT][/PATH/]` (or `http://…`); HOST may be `*.DOMAIN`
    #[arg(long, value_name = "URL", value_parser = reference)]
    pub(crate) external: String,
    /// What the connector opens: `http://…` or `https://…`
    #[arg(long, value_name = "URL", value_parser = reference)]
    pub(crate) internal: String,
    /// What is asked before a request may pass; there is no default
    #[arg(long, value_enum)]
    pub(crate) preauth: PreauthArg,
    /// The connector group that reaches it, by name or id [default: default]
    #[arg(long, value_name = "G", value_parser = reference)]
    pub(crate) group: Option<String>,
    #[command(flatten)]
    pub(crate) certificate: CertificateArgs,
    /// A setting; VALUE may be @FILE for a file's content
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    pub(crate) settings: Vec<(String, String)>,
}

#[derive(clap::Args, Debug)]
#[command(group = ArgGroup::new("change").required(true).multiple(true).args(["external", "internal", "preauth", "group", "cert", "settings", "unset"]))]
pub(crate) struct SetArgs {
    /// Name or id
    #[arg(value_parser = reference)]
    pub(crate) name: String,
    /// What users open
    #[arg(long, value_name = "URL", value_parser = reference)]
    pub(crate) external: Option<String>,
    /// What the connector opens
    #[arg(long, value_name = "URL", value_parser = reference)]
    pub(crate) internal: Option<String>,
    /// What is asked before a request may pass
    #[arg(long, value_enum)]
    pub(crate) preauth: Option<PreauthArg>,
    /// The connector group that reaches it, by name or id
    #[arg(long, value_name = "G", value_parser = reference)]
    pub(crate) group: Option<String>,
    #[command(flatten)]
    pub(crate) certificate: CertificateArgs,
    /// A setting; VALUE may be @FILE for a file's content
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    pub(crate) settings: Vec<(String, String)>,
    /// Return a setting to its default
    #[arg(long, value_name = "NAME", value_parser = reference)]
    pub(crate) unset: Vec<String>,
}

/// A certificate and its key; both or none.
#[derive(clap::Args, Debug)]
pub(crate) struct CertificateArgs {
    /// Certificate chain for the external host, PEM, leaf first; without it Postern's own web authority issues one
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) cert: Option<PathBuf>,
    /// Its private key, PEM, unencrypted
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) key: Option<PathBuf>,
}

/// As [`Preauth`], as a flag's values.
#[derive(ValueEnum, Clone, Copy, Debug)]
pub(crate) enum PreauthArg {
    /// Nothing: the application signs its users in itself
    Passthrough,
    /// Who it is: people who sign in and are assigned to the application, machines with a service token
    Oidc,
}

impl From<PreauthArg> for Preauth {
    fn from(arg: PreauthArg) -> Self {
        match arg {
            PreauthArg::Passthrough => Self::Passthrough,
            PreauthArg::Oidc => Self::Oidc,
        }
    }
}

fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        Some(_) | None => Err("write NAME=VALUE".into()),
    }
}
