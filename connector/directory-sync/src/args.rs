//! The command line. Where the directory is, whom it is trusted by and what opens it is said here, on its own host: control
//! can neither know the password nor lead it elsewhere.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Parser;
use postern_connector::args::{self as connector, IoBackend, Options, ProxyArgs, RelayAddress};
use postern_service::ServiceArgs;
use postern_service::failure::Failure;
use url::Url;

use crate::limits::DIRECTORIES_MAX;

/// Postern's eyes in an LDAP directory: reads users and groups, and tells control. It dials out and listens nowhere.
#[derive(Debug, Clone, Parser)]
#[command(name = "postern-directory-sync", version, after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What every daemon has.
    #[command(flatten)]
    pub(crate) service: ServiceArgs,
    /// Relays to dial
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',', required = true)]
    pub(crate) relay: Vec<RelayAddress>,
    /// The enrolment token that `postern connector token --group directory-sync-NAME` wrote; needed until it is enrolled
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Where it keeps its key and its certificate (made if missing, mode 0700)
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: PathBuf,
    /// The directory, ldaps:// or, with StartTLS, ldap://; several are tried in this order
    #[arg(long, value_name = "URL", value_delimiter = ',', required = true)]
    pub(crate) directory: Vec<Directory>,
    /// Certificates of the only authorities that the directory's may come from, PEM [default: the host's]
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// The account that reads: a distinguished name, or, in Active Directory, a user principal name [default: anonymous]
    #[arg(long, value_name = "DN", requires = "bind_password_file")]
    pub(crate) bind_dn: Option<String>,
    /// A file with its password, read anew with each pass
    #[arg(long, value_name = "FILE", requires = "bind_dn")]
    pub(crate) bind_password_file: Option<PathBuf>,
    /// The I/O engine
    #[arg(long, value_enum, default_value_t = IoBackend::Auto)]
    pub(crate) io: IoBackend,
    /// Serve /healthz, /readyz and /metrics here; a loopback address
    #[arg(long, value_name = "ADDR")]
    pub(crate) admin_listen: Option<SocketAddr>,
    /// On the way to relays.
    #[command(flatten)]
    pub(crate) proxy: ProxyArgs,
}

const EXAMPLES: &str = "Examples:
  Add a source, make a token, enrol and follow; later starts need no token:
    postern directory-sync add corp --kind active-directory --users-base OU=People,DC=corp,DC=example
    postern connector token --group directory-sync-corp --out token
    postern-directory-sync --relay relay.example.com:443 --token-file token --state-dir /var/lib/postern/directory-sync \\
        --directory ldaps://dc1.corp.example,ldaps://dc2.corp.example --ca corp-ca.pem \\
        --bind-dn reader@corp.example --bind-password-file password";

/// A directory's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Directory {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// TLS begins with a question for it, not at once.
    pub(crate) start_tls: bool,
}

impl FromStr for Directory {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form =
            || format!("{text:?} is not of the form ldaps://HOST[:PORT] or ldap://HOST[:PORT], which means StartTLS");
        let url = Url::parse(text).map_err(|_| form())?;
        let start_tls = match url.scheme() {
            "ldaps" => false,
            "ldap" => true,
            _ => return Err(form()), // schemes have no end
        };
        let is_bare = url.path().trim_matches('/').is_empty() && url.query().is_none() && url.username().is_empty();
        let host = url.host_str().filter(|host| is_bare && !host.is_empty()).ok_or_else(form)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { host, port: url.port().unwrap_or(if start_tls { 389 } else { 636 }), start_tls })
    }
}

impl fmt::Display for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.start_tls { "ldap" } else { "ldaps" };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

/// Where the directory is, and what opens it.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) directories: Vec<Directory>,
    pub(crate) ca: Option<PathBuf>,
    /// The account and the file with its password.
    pub(crate) account: Option<(String, PathBuf)>,
}

impl Args {
    /// What the connector in this process is told, and where the directory is.
    pub(crate) fn options(self) -> Result<(Options, Source), Failure> {
        let Self {
            service,
            relay,
            token_file,
            state_dir,
            directory,
            ca,
            bind_dn,
            bind_password_file,
            io,
            admin_listen,
            proxy,
        } = self;
        if directory.len() > DIRECTORIES_MAX {
            return Err(Failure::usage(format!("--directory: at most {DIRECTORIES_MAX} are possible")));
        }
        let source = Source { directories: directory, ca, account: bind_dn.zip(bind_password_file) };
        let args = connector::Args {
            service,
            relay,
            token_file,
            state_dir,
            workers: Some(1),
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
        Ok((options, source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    const ARGV: [&str; 9] = [
        "postern-directory-sync",
        "--relay",
        "r:443",
        "--token-file",
        "t",
        "--state-dir",
        "s",
        "--directory",
        "ldaps://dc1.example,ldap://[::1]:3389",
    ];

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_fixed_form_is_understood() {
        let (options, source) = Args::try_parse_from(ARGV).unwrap().options().unwrap();
        assert_eq!((options.relays.len(), options.workers), (1, 1));
        let named: Vec<String> = source.directories.iter().map(ToString::to_string).collect();
        assert_eq!(named, ["ldaps://dc1.example:636", "ldap://[::1]:3389"]);
        let half = [&ARGV[..], &["--bind-dn", "cn=reader"]].concat();
        assert!(Args::try_parse_from(half).is_err(), "an account without a password reads as nobody");
    }

    #[test]
    fn other_addresses_are_refused() {
        for wrong in [
            "dc1.example",
            "https://dc1.example",
            "ldapi:///",
            "ldaps://",
            "ldaps://a/dc=b",
            "ldaps://u@a",
            "ldaps://a?b",
        ] {
            assert!(wrong.parse::<Directory>().is_err(), "{wrong}");
        }
    }
}
