//! `postern vault …`: passwords that connectors sign users on to applications with.

use std::path::PathBuf;

use clap::{ArgGroup, Subcommand};

use super::{PasswordSource, reference};

#[derive(Subcommand, Debug)]
pub(crate) enum VaultCommand {
    /// The key of a connector group: what its credentials are sealed to
    #[command(subcommand)]
    Key(VaultKeyCommand),
    /// Seal a user name and password for an application; the connectors of its group alone can read them
    #[command(after_help = "Examples:
  postern vault set crm --user anna --name ABERG --password-file anna.txt
  postern vault set crm --shared --name reader

They are sealed by this command, before control gets them. Compare the fingerprint that it shows
with the one that connectors have in their log.")]
    Set(VaultSetArgs),
    /// List credentials, without what is sealed in them
    #[command(after_help = "Examples:
  postern vault list
  postern vault list crm -o json")]
    List {
        /// Of this application only
        #[arg(value_name = "APP", value_parser = reference)]
        app: Option<String>,
    },
    /// Remove a credential: connectors forget it
    #[command(after_help = "Examples:
  postern vault remove crm --user anna
  postern vault remove crm --shared")]
    Remove(VaultOwnerArgs),
    /// Whether connectors can use the credentials: exit status 0, or 1 and which they cannot use, and why
    #[command(after_help = "Examples:
  postern vault check
  postern vault check crm")]
    Check {
        /// Of this application only
        #[arg(value_name = "APP", value_parser = reference)]
        app: Option<String>,
    },
}

#[derive(Subcommand, Debug)]
pub(crate) enum VaultKeyCommand {
    /// Make a key for a connector group; control gets its public half only
    #[command(after_help = "Examples:
  postern vault key create --group hq --out hq.vault-key

Give the file to every connector of the group (--vault-key), and keep a copy where it is safe:
without it, every credential is to be set again.")]
    Create {
        /// The connector group, by name or id
        #[arg(long, value_name = "GROUP", value_parser = reference)]
        group: String,
        /// Write the secret half to this new file, readable by its owner only
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// In the place of the key that the group has: credentials are to be set again
        #[arg(long)]
        replace: bool,
    },
    /// Show the public key of a connector group and its fingerprint
    #[command(after_help = "Examples:
  postern vault key show --group hq")]
    Show {
        /// The connector group, by name or id
        #[arg(long, value_name = "GROUP", value_parser = reference)]
        group: String,
    },
}

/// Which credential.
#[derive(clap::Args, Debug)]
#[command(group = ArgGroup::new("owner").required(true).args(["user", "shared"]))]
pub(crate) struct VaultOwnerArgs {
    /// The application, by name or id
    #[arg(value_name = "APP", value_parser = reference)]
    pub(crate) app: String,
    /// Of this user, by login name or id
    #[arg(long, value_name = "LOGIN", value_parser = reference)]
    pub(crate) user: Option<String>,
    /// Of all users who have none of their own
    #[arg(long)]
    pub(crate) shared: bool,
}

#[derive(clap::Args, Debug)]
pub(crate) struct VaultSetArgs {
    #[command(flatten)]
    pub(crate) owner: VaultOwnerArgs,
    /// The user name in the application; the login name unless given
    #[arg(long, value_name = "NAME", required_if_eq("shared", "true"))]
    pub(crate) name: Option<String>,
    /// Without one it is asked for at the terminal
    #[command(flatten)]
    pub(crate) source: PasswordSource,
}
