//! `postern client …`: clients of the embedded OpenID provider.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use postern_model::ids::Name;
use postern_model::oauth::{ClientType, ConsentBy, RedirectUri};

use super::reference;

#[derive(Subcommand, Debug)]
pub(crate) enum ClientCommand {
    /// Let an application or a program get tokens for its users
    #[command(after_help = "Examples:
  postern client add wiki --confidential --redirect-uri https://wiki.example.com/oidc/callback \\
      --scope openid,profile,email --consent admin --out wiki.secret
  postern client add reports --public --redirect-uri http://127.0.0.1/callback \\
      --scope openid,app:reports --consent user
  postern client add cli --public --device --scope app:* --consent user

A loopback address is registered without a port: the program takes whichever is free.
Control keeps the hash of a secret only: a lost one is rotated.")]
    Add(ClientAddArgs),
    /// List clients
    #[command(after_help = "Examples:
  postern client list")]
    List,
    /// Show a client; never its secret
    #[command(after_help = "Examples:
  postern client show wiki")]
    Show {
        /// Name or id
        #[arg(value_parser = reference)]
        name: String,
    },
    /// Change a client: what is not given stays; whether it has a secret always does
    #[command(after_help = "Examples:
  postern client set wiki --scope openid,profile,email,groups
  postern client set wiki --redirect-uri https://wiki.example.com/oidc/callback --consent user")]
    Set(ClientSetArgs),
    /// Let a disabled client get tokens again
    #[command(after_help = "Examples:
  postern client enable wiki")]
    Enable {
        /// Name or id
        #[arg(value_parser = reference)]
        name: String,
    },
    /// It gets nothing until it is enabled again; its refresh tokens are good no longer
    #[command(after_help = "Examples:
  postern client disable wiki")]
    Disable {
        /// Name or id
        #[arg(value_parser = reference)]
        name: String,
    },
    /// Give a confidential client a new secret; the old one is good no longer, from now on
    #[command(after_help = "Examples:
  postern client rotate wiki --out wiki.secret.new")]
    Rotate {
        /// Name or id
        #[arg(value_parser = reference)]
        name: String,
        /// Write it to this new file, readable by its owner only, instead of stdout
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Remove a client with its refresh tokens and what users agreed to
    #[command(after_help = "Examples:
  postern client remove wiki")]
    Remove {
        /// Name or id
        #[arg(value_parser = reference)]
        name: String,
    },
}

#[derive(clap::Args, Debug)]
pub(crate) struct ClientAddArgs {
    /// Its name: a-z, 0-9 and -; users who are asked read it
    pub(crate) name: Name,
    /// Where browsers are sent back to, exactly; repeat it for more
    #[arg(long = "redirect-uri", value_name = "URI", required_unless_present = "device")]
    pub(crate) redirect_uris: Vec<RedirectUri>,
    /// It may show a code that its user enters in a browser elsewhere (device flow)
    #[arg(long)]
    pub(crate) device: bool,
    /// It runs on a server and keeps a secret
    #[arg(long, conflicts_with = "public", required_unless_present = "public")]
    pub(crate) confidential: bool,
    /// It runs on users' devices or in their browsers and has no secret
    #[arg(long)]
    pub(crate) public: bool,
    /// What it may ask for: openid, profile, email, groups, devices, app:NAME, or app:* for every application
    #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ',', required = true)]
    pub(crate) scopes: Vec<String>,
    /// Who agrees that it gets it: you, or each user
    #[arg(long, value_enum, value_name = "WHO")]
    pub(crate) consent: Consent,
    /// Write its secret to this new file, readable by its owner only, instead of stdout
    #[arg(long, value_name = "FILE", conflicts_with = "public")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(clap::Args, Debug)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true).args(["redirect_uris", "device", "scopes", "consent"]))]
pub(crate) struct ClientSetArgs {
    /// Name or id
    #[arg(value_parser = reference)]
    pub(crate) name: String,
    /// All the addresses that browsers are sent back to; repeat it for more
    #[arg(long = "redirect-uri", value_name = "URI")]
    pub(crate) redirect_uris: Vec<RedirectUri>,
    /// Whether it may show a code that its user enters in a browser elsewhere (device flow)
    #[arg(long, value_name = "true|false")]
    pub(crate) device: Option<bool>,
    /// All that it may ask for
    #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ',')]
    pub(crate) scopes: Vec<String>,
    /// Who agrees that it gets it
    #[arg(long, value_enum, value_name = "WHO")]
    pub(crate) consent: Option<Consent>,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Consent {
    /// You do, by this command: users are not asked
    Admin,
    /// Each user is asked
    User,
}

impl From<Consent> for ConsentBy {
    fn from(consent: Consent) -> Self {
        match consent {
            Consent::Admin => Self::Admin,
            Consent::User => Self::User,
        }
    }
}

impl ClientAddArgs {
    pub(crate) const fn kind(&self) -> ClientType {
        if self.confidential { ClientType::Confidential } else { ClientType::Public }
    }
}
