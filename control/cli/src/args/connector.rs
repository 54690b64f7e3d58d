//! `postern connector …` and `postern connector-group …`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;
use postern_model::ids::Name;
use postern_service::duration;

use super::reference;

#[derive(Subcommand, Debug)]
pub(crate) enum GroupCommand {
    /// Make a connector group
    #[command(after_help = "Examples:
  postern connector-group create hq
  postern connector-group create hq --tenant acme")]
    Create {
        /// Its name: a-z, 0-9 and -
        name: Name,
    },
    /// List connector groups
    #[command(after_help = "Examples:
  postern connector-group list")]
    List,
    /// Show one connector group
    #[command(after_help = "Examples:
  postern connector-group show hq")]
    Show {
        /// Name or id
        #[arg(value_parser = reference)]
        name: String,
    },
    /// Delete a connector group that no application uses
    #[command(after_help = "Examples:
  postern connector-group delete hq")]
    Delete {
        /// Name or id
        #[arg(value_parser = reference)]
        name: String,
    },
}

#[derive(Subcommand, Debug)]
pub(crate) enum ConnectorCommand {
    /// Make an enrolment token for one connector
    #[command(after_help = "Examples:
  postern connector token --group hq --out hq.token
  postern connector token --group hq --ttl 15m > hq.token

The token is shown once. It enrols one connector, which gets the file with --token-file.")]
    Token(TokenArgs),
    /// List connectors
    #[command(after_help = "Examples:
  postern connector list")]
    List,
    /// Show one connector and its tunnels
    #[command(after_help = "Examples:
  postern connector show c1-3")]
    Show {
        /// Its id
        #[arg(value_parser = reference)]
        id: String,
    },
    /// Remove a connector: its certificate is refused from now on
    #[command(after_help = "Examples:
  postern connector remove c1-3")]
    Remove {
        /// Its id
        #[arg(value_parser = reference)]
        id: String,
    },
}

#[derive(clap::Args, Debug)]
pub(crate) struct TokenArgs {
    /// The connector group, by name or id
    #[arg(long, value_name = "G", default_value = "default", value_parser = reference)]
    pub(crate) group: String,
    /// How long it may be used [default: 1h]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) ttl: Option<Duration>,
    /// Write it to this new file, readable by its owner only, instead of stdout
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}
