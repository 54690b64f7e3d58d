//! `postern user factor …`.

use clap::Subcommand;

use super::reference;

#[derive(Subcommand, Debug)]
pub(crate) enum FactorCommand {
    /// List a user's second factors
    #[command(after_help = "Examples:
  postern user factor list anna@example.com
  postern user factor list u1-7 -o json

Users set their own up: when an application demands it (postern app set wiki --set mfa=required),
or at /account on the host where they sign in.")]
    List {
        /// Login name or id
        #[arg(value_name = "LOGIN", value_parser = reference)]
        user: String,
    },
    /// Remove one second factor, and end the user's sessions
    #[command(after_help = "Examples:
  postern user factor remove anna@example.com totp
  postern user factor remove anna@example.com key-0123456789abcdef")]
    Remove {
        /// Login name or id
        #[arg(value_name = "LOGIN", value_parser = reference)]
        user: String,
        /// Which one, as `postern user factor list` shows it
        #[arg(value_name = "FACTOR", value_parser = reference)]
        factor: String,
    },
    /// Remove all second factors and recovery codes, and end the user's sessions: for who lost their device
    #[command(after_help = "Examples:
  postern user factor reset anna@example.com

Make sure that it is the user who asks: from here on their password alone lets someone set a new
factor up.")]
    Reset {
        /// Login name or id
        #[arg(value_name = "LOGIN", value_parser = reference)]
        user: String,
    },
}
