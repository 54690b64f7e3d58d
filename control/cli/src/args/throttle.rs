//! `postern throttle …` and `postern network …`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Subcommand};
use postern_model::ids::Name;
use postern_model::limit::Choice;
use postern_model::prefix::IpPrefix;
use postern_service::duration;

use super::reference;

#[derive(Subcommand, Debug)]
pub(crate) enum ThrottleCommand {
    /// List the limits that hold, defaults included
    #[command(after_help = "Examples:
  postern throttle list
  postern throttle list --tenant acme -o json")]
    List,
    /// Show what limits let through and refuse, added up over the relays
    #[command(after_help = "Examples:
  postern throttle show
  postern throttle show app/wiki
  postern throttle show source -o json")]
    Show {
        /// Only this limit; of sources, also those that were refused most lately
        #[arg(value_name = "SCOPE", value_parser = reference)]
        scope: Option<String>,
    },
    /// Set a limit; it holds at every relay at once, without a restart
    #[command(after_help = "Examples:
  postern throttle set app/wiki --rps 200 --burst 50
  postern throttle set app/wiki --conns 100 --bps 10M
  postern throttle set app/wiki/source --rps 5 --conns 10
  postern throttle set tenant --rps 500k
  postern throttle set source --rps 50
  postern throttle set source/203.0.113.0/24 --rps 1k
  postern throttle set user/anna@example.com --rps 20 --bps 5M
  postern throttle set app/wiki --rps none

What is limited (SCOPE):
  app/NAME          all requests to an application together
  app/NAME/source   each source address, to this application
  tenant            all requests of the tenant together
  source            each source address by itself (IPv6: each /64)
  source/PREFIX     all addresses of a prefix together, which are not counted as `source` then
  user/LOGIN        all requests of a user, by login name, to applications that ask who it is

Each relay applies limits by itself. More requests get 429 with Retry-After and the limit's name;
content beyond --bps is delayed.")]
    Set(ThrottleSetArgs),
    /// Return a limit to its default
    #[command(after_help = "Examples:
  postern throttle unset app/wiki
  postern throttle unset source/203.0.113.0/24")]
    Unset {
        /// What is limited
        #[arg(value_name = "SCOPE", value_parser = reference)]
        scope: String,
    },
    /// Show what limits do, again and again, until interrupted
    #[command(after_help = "Examples:
  postern throttle watch
  postern throttle watch app/wiki --every 500ms
  postern throttle watch --count 10 -o json")]
    Watch {
        /// Only this limit
        #[arg(value_name = "SCOPE", value_parser = reference)]
        scope: Option<String>,
        /// How often
        #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "1s")]
        every: Duration,
        /// End after so many
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        count: Option<u32>,
    },
}

#[derive(clap::Args, Debug)]
#[command(group = ArgGroup::new("bound").required(true).multiple(true).args(["rps", "burst", "conns", "bps"]))]
pub(crate) struct ThrottleSetArgs {
    /// What is limited: app/NAME, app/NAME/source, tenant, source, source/PREFIX or user/LOGIN
    #[arg(value_name = "SCOPE", value_parser = reference)]
    pub(crate) scope: String,
    /// Requests a second: a number (50, 10k), none or default
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) rps: Option<Choice>,
    /// Requests let through at once after a pause; a tenth of --rps, at least two, unless set
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) burst: Option<Choice>,
    /// Requests in progress at a time, WebSockets included
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) conns: Option<Choice>,
    /// Bytes of content a second, both directions together: 500k, 10M, 64Mi
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) bps: Option<Choice>,
}

#[derive(Subcommand, Debug)]
pub(crate) enum NetworkCommand {
    /// Name a network by its addresses as relays see them, or give it others
    #[command(after_help = "Examples:
  postern network set hq 203.0.113.0/24 2001:db8:1::/48
  postern app set wiki --set corporate_network=warn
  postern network set tor --file tor-exits.txt --anonymiser

An application's setting corporate_network says what becomes of requests from these networks:
allow (the default), warn (served, counted, marked in the access log) or redirect (sent to the
internal URL).

A file has one prefix a line; what follows # is a comment. A list of anonymisers is no corporate
network: signing in from it raises the risk, and policies can name it. It may have 100,000 prefixes.")]
    Set {
        /// Its name: a-z, 0-9 and -
        name: Name,
        /// Address prefixes
        #[arg(required_unless_present = "file", value_name = "PREFIX")]
        prefixes: Vec<IpPrefix>,
        /// Those in this file, too
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// It is a list of anonymisers
        #[arg(long)]
        anonymiser: bool,
    },
    /// List named networks
    #[command(after_help = "Examples:
  postern network list")]
    List,
    /// Forget a network
    #[command(after_help = "Examples:
  postern network remove hq")]
    Remove {
        /// Its name
        #[arg(value_parser = reference)]
        name: String,
    },
}
