//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use postern_connector::args::{self as connector, IoBackend, Options, RelayAddress};
use postern_service::ServiceArgs;
use postern_service::failure::Failure;

/// Postern's sign-in pages: dials out to relays, which publish them. It listens nowhere.
#[derive(Debug, Clone, Parser)]
#[command(name = "postern-identity", version, after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What every daemon has.
    #[command(flatten)]
    pub(crate) service: ServiceArgs,
    /// Relays to dial
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',', required = true)]
    pub(crate) relay: Vec<RelayAddress>,
    /// The enrolment token that `postern connector token --group postern-identity` wrote; needed until it is enrolled
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Where it keeps its key and its certificate (made if missing, mode 0700)
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: PathBuf,
    /// The I/O engine
    #[arg(long, value_enum, default_value_t = IoBackend::Auto)]
    pub(crate) io: IoBackend,
    /// Serve /healthz, /readyz and /metrics here; a loopback address
    #[arg(long, value_name = "ADDR")]
    pub(crate) admin_listen: Option<SocketAddr>,
}

const EXAMPLES: &str = "Examples:
  Publish the place to sign in, make a token, enrol and serve; later starts need no token:
    postern identity publish --external https://login.example.com/
    postern connector token --group postern-identity --out token
    postern-identity --relay relay.example.com:443 --token-file token --state-dir /var/lib/postern/identity";

impl Args {
    /// What the connector in this process is told.
    pub(crate) fn options(self) -> Result<Options, Failure> {
        let Self { service, relay, token_file, state_dir, io, admin_listen } = self;
        // One thread of pages: one of requests.
        let workers = Some(1);
        let args = connector::Args {
            service,
            relay,
            token_file,
            state_dir,
            workers,
            io,
            admin_listen,
            transaction_log: None,
            keytab: None,
            kerberos_principal: None,
            vault_key: None,
        };
        args.check(1).map_err(|refused| Failure::new(refused.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_fixed_form_is_understood() {
        let argv = ["postern-identity", "--relay", "r:443", "--token-file", "t", "--state-dir", "s"];
        let options = Args::try_parse_from(argv).unwrap().options().unwrap();
        assert_eq!((options.relays.len(), options.workers), (1, 1));
        let open = [&argv[..], &["--admin-listen", "0.0.0.0:1"]].concat();
        assert!(Args::try_parse_from(open).unwrap().options().is_err());
    }
}
