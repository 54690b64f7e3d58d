//! `postern access …`: who is let in to what.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Subcommand};
use postern_model::admin::JUSTIFICATION_BYTES_MAX;
use postern_model::device::DEVICE_NAME_BYTES_MAX;
use postern_model::directory::Line;
use postern_model::ids::{AccessRequestId, Name};
use postern_model::policy::Platform;
use postern_service::duration;

use super::access_review::AccessReviewCommand;
use super::reference;

#[derive(Subcommand, Debug)]
pub(crate) enum AccessCommand {
    /// Sign in to an application as yourself, for programs: a browser anywhere does, and no admin socket
    #[command(after_help = "Examples:
  postern access login https://wiki.example.com/ --client oc1-2

Tokens are kept in $XDG_STATE_HOME/postern/access, or ~/.local/state/postern/access, for you only.")]
    Login(LoginArgs),
    /// Run curl as yourself: with a token for the application of this address, and for no other
    #[command(after_help = "Examples:
  postern access curl https://wiki.example.com/api/pages
  postern access curl https://wiki.example.com/api/pages -- -s -X POST -d title=New")]
    Curl(CurlArgs),
    /// Print an access token of your own for an application; or manage service tokens, which let machines in
    #[command(
        args_conflicts_with_subcommands = true,
        subcommand_negates_reqs = true,
        after_help = "Examples:
  postern access token https://wiki.example.com/

Stdout holds the token and nothing else; it is good for ten minutes at most."
    )]
    Token {
        /// The application: an address in it, after `postern access login`
        #[arg(value_name = "URL", required = true)]
        url: Option<String>,
        #[command(subcommand)]
        command: Option<AccessTokenCommand>,
    },
    /// Give back your tokens for an application and forget them; an access token in use runs out within ten minutes
    #[command(after_help = "Examples:
  postern access logout https://wiki.example.com/")]
    Logout {
        /// The application: an address in it
        #[arg(value_name = "URL")]
        url: String,
    },
    /// Your own devices
    #[command(subcommand)]
    Device(AccessDeviceCommand),
    /// Requests of users who ask for an application that they are not assigned to
    #[command(subcommand)]
    Request(AccessRequestCommand),
    /// Reviews of who is assigned to an application
    #[command(subcommand)]
    Review(AccessReviewCommand),
}

#[derive(clap::Args, Debug)]
pub(crate) struct LoginArgs {
    /// The application: an address in it
    #[arg(value_name = "URL")]
    pub(crate) url: String,
    /// The client that your administrator made for the command line: `postern client add NAME --public --device …`
    #[arg(long, value_name = "CLIENT_ID")]
    pub(crate) client: String,
    #[command(flatten)]
    pub(crate) reach: ReachArgs,
}

/// How what users open is reached.
#[derive(clap::Args, Debug)]
pub(crate) struct ReachArgs {
    /// Trust the authorities in this PEM file instead of the system's
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Connect to this address instead of what the names say: to try a relay that is in no DNS yet
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) connect_to: Option<SocketAddr>,
}

#[derive(Subcommand, Debug)]
pub(crate) enum AccessDeviceCommand {
    /// Make this device one of yours: a key that stays here, and a certificate that your browser shows
    #[command(after_help = "Examples:
  postern access device enrol https://login.example.com/ --client oc1-2
  postern access device enrol https://login.example.com/ --client oc1-2 --name laptop --out ~/device

Run it once more with the same --out for a new certificate of the same key, before the old one ends.")]
    Enrol(EnrolDeviceArgs),
}

#[derive(clap::Args, Debug)]
pub(crate) struct EnrolDeviceArgs {
    /// Where people sign in
    #[arg(value_name = "URL")]
    pub(crate) url: String,
    /// The client that your administrator made for this: `postern client add … --device --scope devices`
    #[arg(long, value_name = "CLIENT_ID")]
    pub(crate) client: String,
    /// What you call the device; as it calls itself, if not given
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<Line<DEVICE_NAME_BYTES_MAX>>,
    /// What the device runs: linux, windows, macos, ios, android, other
    #[arg(long, value_name = "PLATFORM", default_value = "linux")]
    pub(crate) platform: Platform,
    /// The folder that key.pem and certificate.pem are written to
    #[arg(long, value_name = "DIR", default_value = "postern-device")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) reach: ReachArgs,
}

#[derive(clap::Args, Debug)]
pub(crate) struct CurlArgs {
    /// What to ask for
    #[arg(value_name = "URL")]
    pub(crate) url: String,
    /// Further words for curl
    #[arg(last = true, value_name = "CURL_ARGUMENTS")]
    pub(crate) curl: Vec<String>,
}

#[derive(Subcommand, Debug)]
pub(crate) enum AccessRequestCommand {
    /// List the requests that wait
    #[command(after_help = "Examples:
  postern access request list
  postern access request list --all -o json")]
    List {
        /// Those that were decided, too
        #[arg(long)]
        all: bool,
    },
    /// Approve a request: the user is assigned, or becomes a member, as the application's settings say
    #[command(after_help = "Examples:
  postern access request approve rq1-7
  postern access request approve rq1-7 --note 'until the audit is over'")]
    Approve(DecideArgs),
    /// Deny a request
    #[command(after_help = "Examples:
  postern access request deny rq1-7 --note 'ask your team lead first'")]
    Deny(DecideArgs),
}

#[derive(clap::Args, Debug)]
pub(crate) struct DecideArgs {
    /// The request: its id, as the list has it
    pub(crate) request: AccessRequestId,
    /// What is said to who asked
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(crate) note: Line<JUSTIFICATION_BYTES_MAX>,
}

#[derive(Subcommand, Debug)]
pub(crate) enum AccessTokenCommand {
    /// Make a service token; its text is shown once
    #[command(after_help = "Examples:
  postern access token create backup --app wiki --app crm --out backup.token
  postern access token create ci --app wiki --ttl 30d > ci.token
  echo \"Authorization: Bearer $(cat backup.token)\" | curl -H @- https://wiki.example.com/

Stdout holds the token and nothing else. Control keeps its hash only: a lost token is rotated.")]
    Create(CreateTokenArgs),
    /// List service tokens, without anything of their secrets
    #[command(after_help = "Examples:
  postern access token list
  postern access token list -o json")]
    List,
    /// Show one service token
    #[command(after_help = "Examples:
  postern access token show backup")]
    Show {
        /// Name or id
        #[arg(value_parser = reference)]
        name: String,
    },
    /// Change a service token; what is not given stays, its secret does in any case
    #[command(after_help = "Examples:
  postern access token set backup --add-app hr
  postern access token set backup --app wiki --ttl 90d")]
    Set(SetTokenArgs),
    /// Make a service token good for nothing until it is enabled again; its requests in progress end
    #[command(after_help = "Examples:
  postern access token disable backup")]
    Disable {
        /// Name or id
        #[arg(value_parser = reference)]
        name: String,
    },
    /// Make a disabled service token good again
    #[command(after_help = "Examples:
  postern access token enable backup")]
    Enable {
        /// Name or id
        #[arg(value_parser = reference)]
        name: String,
    },
    /// Remove a service token for good; its requests in progress end
    #[command(after_help = "Examples:
  postern access token revoke backup")]
    Revoke {
        /// Name or id
        #[arg(value_parser = reference)]
        name: String,
    },
    /// Give a service token a new secret; the old one is good no longer, from now on
    #[command(after_help = "Examples:
  postern access token rotate backup --out backup.token.new
  postern access token rotate backup --ttl 90d > backup.token")]
    Rotate(RotateTokenArgs),
}

#[derive(clap::Args, Debug)]
pub(crate) struct CreateTokenArgs {
    /// Its name: a-z, 0-9 and -; the access log and applications name it as the one who asked
    pub(crate) name: Name,
    /// An application it lets in to, by name or id; may be repeated
    #[arg(long = "app", value_name = "APP", required = true, value_parser = reference)]
    pub(crate) apps: Vec<String>,
    #[command(flatten)]
    pub(crate) validity: ValidityArgs,
    /// Write it to this new file, readable by its owner only, instead of stdout
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(clap::Args, Debug)]
#[command(mut_arg("ttl", |ttl| ttl.help(ANOTHER_END)))]
#[command(group = ArgGroup::new("change").required(true).multiple(true).args(["apps", "add_apps", "remove_apps", "ttl", "no_expiry"]))]
pub(crate) struct SetTokenArgs {
    /// Name or id
    #[arg(value_parser = reference)]
    pub(crate) name: String,
    /// All the applications it is to let in to; may be repeated
    #[arg(long = "app", value_name = "APP", value_parser = reference, conflicts_with_all = ["add_apps", "remove_apps"])]
    pub(crate) apps: Vec<String>,
    /// An application to add; may be repeated
    #[arg(long = "add-app", value_name = "APP", value_parser = reference)]
    pub(crate) add_apps: Vec<String>,
    /// An application to take away: its requests in progress there end; may be repeated
    #[arg(long = "remove-app", value_name = "APP", value_parser = reference)]
    pub(crate) remove_apps: Vec<String>,
    #[command(flatten)]
    pub(crate) validity: ValidityArgs,
}

#[derive(clap::Args, Debug)]
#[command(mut_arg("ttl", |ttl| ttl.help(ANOTHER_END)))]
pub(crate) struct RotateTokenArgs {
    /// Name or id
    #[arg(value_parser = reference)]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) validity: ValidityArgs,
    /// Write it to this new file, readable by its owner only, instead of stdout
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// How long a token is good, from now.
#[derive(clap::Args, Debug)]
pub(crate) struct ValidityArgs {
    /// How long it is good, from now, at most 366d; 90d unless given
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, conflicts_with = "no_expiry")]
    pub(crate) ttl: Option<Duration>,
    /// It is good until it is revoked
    #[arg(long)]
    pub(crate) no_expiry: bool,
}

/// Of tokens that there are already.
const ANOTHER_END: &str = "How long it is good, from now, at most 366d; its end stays as it is unless this is given";
