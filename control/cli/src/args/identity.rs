//! `postern identity …` and `postern session …`.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use postern_model::device::DeviceHost;
use postern_model::ids::{Name, SessionId};

use super::reference;

#[derive(Subcommand, Debug)]
pub(crate) enum IdentityCommand {
    /// Publish the place where people sign in, or move it
    #[command(after_help = "Examples:
  postern identity publish --external https://login.example.com/
  postern identity publish --external https://login.example.com/ --cert login.pem --key login.key

Then start an identity process beside control:
  postern connector token --group postern-identity --out token
  postern-identity --relay relay.example.com:443 --token-file token \\
      --state-dir /var/lib/postern/identity")]
    Publish {
        /// A host of its own: https://HOST/, with a port if it is not 443
        #[arg(long, value_name = "URL")]
        external: String,
        /// Certificate chain for the host, PEM, leaf first; without it one that covers the host, or a new one of the web CA
        #[arg(long, value_name = "FILE", requires = "key")]
        cert: Option<PathBuf>,
        /// Its private key, PEM, unencrypted
        #[arg(long, value_name = "FILE", requires = "cert")]
        key: Option<PathBuf>,
    },
    /// Show where people sign in, and whether an identity process is online
    #[command(after_help = "Examples:
  postern identity show")]
    Show,
    /// Nobody signs in any more; who is signed in stays so
    #[command(after_help = "Examples:
  postern identity unpublish")]
    Unpublish,
    /// SAML 2.0: what applications need to know of the place to sign in, and its key
    #[command(subcommand)]
    Saml(SamlCommand),
    /// Kerberos: who signs in by a ticket that the browser has, without being asked
    #[command(subcommand)]
    Kerberos(KerberosCommand),
    /// Where browsers are asked for their device's certificate
    #[command(subcommand)]
    DeviceHost(DeviceHostCommand),
}

#[derive(Subcommand, Debug)]
pub(crate) enum DeviceHostCommand {
    /// Ask browsers for their device's certificate at a host of its own, with nothing else there
    #[command(after_help = "Examples:
  postern identity device-host set device.login.example.com
  postern identity device-host set device.login.example.com --cert device.pem --key device.key

The name needs an address in DNS, that of the place to sign in; its port is the same, too.")]
    Set {
        /// Host name
        host: DeviceHost,
        /// Certificate chain for the host, PEM, leaf first; without it one that covers the host, or a new one of the web CA
        #[arg(long, value_name = "FILE", requires = "key")]
        cert: Option<PathBuf>,
        /// Its private key, PEM, unencrypted
        #[arg(long, value_name = "FILE", requires = "cert")]
        key: Option<PathBuf>,
    },
    /// Ask no browser any more; sessions that began with a device keep it
    #[command(after_help = "Examples:
  postern identity device-host remove")]
    Remove,
}

#[derive(Subcommand, Debug)]
pub(crate) enum KerberosCommand {
    /// Ask browsers of named networks for tickets, and say whose count; replaces what was set
    #[command(after_help = "Examples:
  postern network set corp 192.0.2.0/24
  postern identity kerberos set --realm EXAMPLE.COM --network corp
  postern identity kerberos set --realm CORP.TEST --network corp --login sam-account-name

The identity process has the key, control never sees it:
  postern-identity --keytab /etc/postern/login.keytab \\
      --kerberos-principal HTTP/login.example.com@EXAMPLE.COM …")]
    Set {
        /// A realm whose users sign in, as its KDC writes it; more of them by more --realm
        #[arg(long = "realm", value_name = "REALM", required = true)]
        realms: Vec<String>,
        /// A named network in which browsers are asked; more of them by more --network
        #[arg(long = "network", value_name = "NAME", required = true)]
        networks: Vec<Name>,
        /// Which of a user's names the KDC knows
        #[arg(long, value_enum, default_value_t = KerberosNames::Upn)]
        login: KerberosNames,
    },
    /// Show whose tickets count, and where browsers are asked
    #[command(after_help = "Examples:
  postern identity kerberos show")]
    Show,
    /// No ticket counts any more; who is signed in stays so
    #[command(after_help = "Examples:
  postern identity kerberos remove")]
    Remove,
}

/// Which of a user's names is the principal's.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KerberosNames {
    /// anna@EXAMPLE.COM is the user anna@example.com
    Upn,
    /// The user whose attribute onprem_upn is anna@example.com
    OnPremUpn,
    /// The user whose login name is anna, or anna@ and any domain
    UserPart,
    /// The user whose attribute sam_account_name is anna
    SamAccountName,
}

#[derive(Subcommand, Debug)]
pub(crate) enum SamlCommand {
    /// Show the addresses, the certificates and their fingerprints
    #[command(after_help = "Examples:
  postern identity saml show
  postern identity saml show --pem > idp.pem")]
    Show {
        /// Print the certificates and nothing else, the one that signs first
        #[arg(long)]
        pem: bool,
    },
    /// Make the next key, which is in the metadata from now on; with --activate let it sign
    #[command(after_help = "Examples:
  postern identity saml rotate
  postern identity saml show
  postern identity saml rotate --activate

Between the two, applications read the metadata anew, or are given the next certificate.")]
    Rotate {
        /// The next key signs from now on; the one before is gone for good
        #[arg(long)]
        activate: bool,
    },
}

#[derive(Subcommand, Debug)]
pub(crate) enum SessionCommand {
    /// List who is signed in, those who came last first
    #[command(after_help = "Examples:
  postern session list
  postern session list --user anna")]
    List {
        /// Only this user's, by login name or id
        #[arg(long, value_name = "U", value_parser = reference)]
        user: Option<String>,
    },
    /// End sessions: at every relay, also in the middle of a download or a WebSocket
    #[command(after_help = "Examples:
  postern session revoke 9f1c2d3e4f5061728394a5b6c7d8e9f0
  postern session revoke --user anna
  postern session revoke --all")]
    #[group(required = true, multiple = false)]
    Revoke {
        /// One session
        session: Option<SessionId>,
        /// All sessions of a user, by login name or id
        #[arg(long, value_name = "U", value_parser = reference)]
        user: Option<String>,
        /// All sessions of the tenant
        #[arg(long)]
        all: bool,
    },
}
