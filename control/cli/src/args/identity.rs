//! `postern identity …` and `postern session …`.

use std::path::PathBuf;

use clap::Subcommand;
use postern_model::ids::SessionId;

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
