//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use postern_connector::args::{self as connector, IoBackend, Options, ProxyArgs, RelayAddress};
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
    /// The keytab with this place's own key for Kerberos, to sign people in by tickets that their browsers have
    #[arg(long, value_name = "FILE", requires = "kerberos_principal")]
    pub(crate) keytab: Option<PathBuf>,
    /// Whose key of the keytab: HTTP/ and the host of the place to sign in
    #[arg(long, value_name = "NAME@REALM", requires = "keytab")]
    pub(crate) kerberos_principal: Option<String>,
    /// On the way to relays.
    #[command(flatten)]
    pub(crate) proxy: ProxyArgs,
}

/// The place's own account in Kerberos.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KerberosKey {
    /// A file that holds its key.
    pub(crate) keytab: PathBuf,
    /// Its name.
    pub(crate) principal: String,
}

const EXAMPLES: &str = "Examples:
  Publish the place to sign in, make a token, enrol and serve; later starts need no token:
    postern identity publish --external https://login.example.com/
    postern connector token --group postern-identity --out token
    postern-identity --relay relay.example.com:443 --token-file token --state-dir /var/lib/postern/identity";

impl Args {
    /// What the connector in this process is told.
    pub(crate) fn options(self) -> Result<(Options, Option<KerberosKey>), Failure> {
        let Self { service, relay, token_file, state_dir, io, admin_listen, keytab, kerberos_principal, proxy } = self;
        let key = keytab.zip(kerberos_principal).map(|(keytab, principal)| KerberosKey::check(keytab, principal));
        let key = key.transpose()?;
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
            client_certificates: None,
            proxy,
            backend_proxy: Vec::new(),
            backend_proxy_password_file: Vec::new(),
        };
        let options = args.check(1).map_err(|refused| Failure::new(refused.to_string()))?;
        Ok((options, key))
    }
}

impl KerberosKey {
    fn check(keytab: PathBuf, principal: String) -> Result<Self, Failure> {
        if !cfg!(feature = "kerberos") {
            let words = "--keytab: this process was built without Kerberos; build it with --features kerberos (docs/sign-in.md)";
            return Err(Failure::new(words.to_owned()));
        }
        // Browsers ask for a ticket to no other service (RFC 4559 §4).
        let host = principal.strip_prefix("HTTP/").and_then(|rest| rest.split_once('@'));
        let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '@');
        match host {
            Some((host, realm))
                if !host.is_empty() && !realm.is_empty() && !host.contains(odd) && !realm.contains(odd) =>
            {
                Ok(Self { keytab, principal })
            }
            Some(_) | None => Err(Failure::new(format!(
                "--kerberos-principal {principal:?} is not HTTP/HOST@REALM: write it as HTTP/login.example.com@EXAMPLE.COM"
            ))),
        }
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
        let options = Args::try_parse_from(argv).unwrap().options().unwrap().0;
        assert_eq!((options.relays.len(), options.workers), (1, 1));
        let open = [&argv[..], &["--admin-listen", "0.0.0.0:1"]].concat();
        assert!(Args::try_parse_from(open).unwrap().options().is_err());
    }

    #[test]
    fn a_key_is_that_of_a_web_service() {
        let given = |principal: &str| {
            let argv = ["postern-identity", "--relay", "r:443", "--state-dir", "s", "--keytab", "/k"];
            let argv = [&argv[..], &["--kerberos-principal", principal]].concat();
            Args::try_parse_from(argv).unwrap().options()
        };
        let good = given("HTTP/login.example.com@EXAMPLE.COM");
        assert_eq!(good.is_ok_and(|(_, key)| key.is_some()), cfg!(feature = "kerberos"));
        for bad in ["", "login.example.com", "HTTP/login.example.com", "host/a@R", "HTTP/@R", "HTTP/a@", "HTTP/a/b@R"] {
            assert!(given(bad).is_err(), "{bad}");
        }
        let alone = ["postern-identity", "--relay", "r:443", "--state-dir", "s", "--keytab", "/k"];
        assert!(Args::try_parse_from(alone).is_err());
    }
}
