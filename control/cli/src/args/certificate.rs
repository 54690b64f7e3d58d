//! `postern cert …`.

use std::path::PathBuf;

use clap::Subcommand;

use postern_model::acme::ChallengeKind;

use super::{PasswordSource, reference};

#[derive(Subcommand, Debug)]
pub(crate) enum CertCommand {
    /// Add a certificate; applications whose host it covers use it when they name no other
    #[command(
        long_about = "Add a certificate. Applications whose host it covers use it when they name no other. One for exactly the hosts \
of one that was given before takes its place."
    )]
    #[command(after_help = "Examples:
  postern cert add --cert wildcard.pem --key wildcard.key
  postern cert add --p12 wildcard.pfx --password-file password
  postern cert add --cert wildcard.pem --key wildcard.key --ocsp response.der

The certificates of a file may stand in any order. Without a password for --p12 the terminal asks.")]
    Add(CertFilesArgs),
    /// Put a successor in a certificate's place: connections that are open stay
    #[command(after_help = "Examples:
  postern cert replace k1-2 --cert wildcard.pem --key wildcard.key
  postern cert replace k1-2 --p12 wildcard.pfx --password-stdin")]
    Replace {
        /// The id of the one whose place it takes
        #[arg(value_parser = reference)]
        id: String,
        #[command(flatten)]
        files: CertFilesArgs,
    },
    /// Order a certificate by ACME; control renews it in the last third of its life
    #[command(after_help = "Examples:
  postern cert request crm.example.com wiki.example.com
  postern cert request crm.example.com --challenge http-01

It needs an account: postern acme set. The authority looks at each host, by a handshake to port 443
(tls-alpn-01) or a request to port 80 (http-01, postern-relay --listen-http), and relays answer it.")]
    Request {
        /// What it is for
        #[arg(required = true, value_name = "HOST", value_parser = reference)]
        hosts: Vec<String>,
        /// How the authority looks: http-01 or tls-alpn-01
        #[arg(long, value_name = "KIND", default_value_t = ChallengeKind::TlsAlpn01)]
        challenge: ChallengeKind,
    },
    /// Renew a certificate that was ordered by ACME, now
    #[command(after_help = "Examples:
  postern cert renew k1-2")]
    Renew {
        /// Its id
        #[arg(value_parser = reference)]
        id: String,
    },
    /// List certificates
    #[command(after_help = "Examples:
  postern cert list")]
    List,
    /// Show one certificate
    #[command(after_help = "Examples:
  postern cert show k1-2
  postern cert show k1-2 -o json")]
    Show {
        /// Its id
        #[arg(value_parser = reference)]
        id: String,
    },
    /// Remove a certificate that no application shows
    #[command(after_help = "Examples:
  postern cert remove k1-2")]
    Remove {
        /// Its id
        #[arg(value_parser = reference)]
        id: String,
    },
}

/// A certificate, its key, and what is stapled to it.
#[derive(clap::Args, Debug)]
pub(crate) struct CertFilesArgs {
    /// Certificate chain, PEM, in any order
    #[arg(long, value_name = "FILE", requires = "key", required_unless_present = "p12")]
    pub(crate) cert: Option<PathBuf>,
    /// Its private key, PEM, unencrypted
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) key: Option<PathBuf>,
    /// Certificate chain and key in one PKCS#12 file (.p12, .pfx)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["cert", "key"])]
    pub(crate) p12: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) password: PasswordSource,
    /// An OCSP response for relays to staple, DER; control asks for one where the certificate says whom
    #[arg(long, value_name = "FILE")]
    pub(crate) ocsp: Option<PathBuf>,
}
