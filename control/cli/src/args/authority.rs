//! `postern acme …` and `postern domain …`.

use std::path::PathBuf;

use clap::Subcommand;

use super::reference;

#[derive(Subcommand, Debug)]
pub(crate) enum AcmeCommand {
    /// Make an account with an authority of certificates, which agrees to its terms of service
    #[command(
        long_about = "Make an account with an authority of certificates (ACME, RFC 8555). Whoever does so agrees to the authority's terms \
of service. Certificates that were ordered with another account are renewed with this one from now on."
    )]
    #[command(after_help = "Examples:
  postern acme set --directory https://acme-v02.api.letsencrypt.org/directory \\
      --contact ops@example.com
  postern acme set --directory https://acme.zerossl.com/v2/DV90 --eab-kid KEY_ID \\
      --eab-key-file eab.key
  postern acme set --directory https://ca.corp.example/acme/directory --ca corp-root.pem

Control keeps the account's key, in its state folder. The key of External Account Binding is used
once and not kept.")]
    Set(AcmeSetArgs),
    /// Show the account
    #[command(after_help = "Examples:
  postern acme show
  postern acme show --tenant acme -o json")]
    Show,
    /// Forget the account and its key; certificates stay, and are renewed no more
    #[command(after_help = "Examples:
  postern acme remove")]
    Remove,
}

#[derive(clap::Args, Debug)]
pub(crate) struct AcmeSetArgs {
    /// Where the authority says what it offers
    #[arg(long, value_name = "URL")]
    pub(crate) directory: String,
    /// Mail address that the authority writes to; may be given several times
    #[arg(long, value_name = "MAIL")]
    pub(crate) contact: Vec<String>,
    /// For External Account Binding: the key's id, and …
    #[arg(long, value_name = "ID", requires = "eab_key_file")]
    pub(crate) eab_kid: Option<String>,
    /// … a file with the key, base64url, as the authority gives it
    #[arg(long, value_name = "FILE", requires = "eab_kid")]
    pub(crate) eab_key_file: Option<PathBuf>,
    /// PEM to verify the authority's own certificate with, instead of what control's host knows
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
}

#[derive(Subcommand, Debug)]
pub(crate) enum DomainCommand {
    /// Say that a domain is the tenant's; what is to be put into the DNS to show that is printed
    #[command(after_help = "Examples:
  postern domain add example.com
  postern domain add example.com -o json

Put the TXT record into the DNS, then `postern domain verify example.com`.")]
    Add {
        /// Its name; names below belong to it
        #[arg(value_parser = reference)]
        domain: String,
    },
    /// List domains, and the records that show whose they are
    #[command(after_help = "Examples:
  postern domain list")]
    List,
    /// Look for the record: from then on the domain is the tenant's alone
    #[command(after_help = "Examples:
  postern domain verify example.com")]
    Verify {
        /// Its name
        #[arg(value_parser = reference)]
        domain: String,
    },
    /// Give a domain up; what is published there stays
    #[command(after_help = "Examples:
  postern domain remove example.com")]
    Remove {
        /// Its name
        #[arg(value_parser = reference)]
        domain: String,
    },
}
