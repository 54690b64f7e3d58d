//! The connector's command line: what people write ([`Args`]) and what it means once checked ([`Options`]).

mod proxy;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use postern_io::backend::Wanted;
pub use postern_model::relay_address::RelayAddress;
use postern_service::ServiceArgs;
use postern_service::failure::Failure;

use crate::limits::{RELAYS_MAX, WORKERS_DEFAULT_MAX, WORKERS_MAX};
pub use proxy::{ProxyArgs, ProxyAuth, ProxyOptions};

/// Postern's connector: dials out to relays and carries their requests to private applications. It listens nowhere.
#[derive(Debug, Clone, Parser)]
#[command(name = "postern-connector", version, after_help = EXAMPLES)]
pub struct Args {
    /// What every daemon has.
    #[command(flatten)]
    pub service: ServiceArgs,
    /// Relays to dial
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',', required = true)]
    pub relay: Vec<RelayAddress>,
    /// The enrolment token that `postern connector token` wrote; needed until the connector is enrolled
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Where the connector keeps its key, its certificate and the last good configuration (made if missing, mode 0700)
    #[arg(long, value_name = "DIR")]
    pub state_dir: PathBuf,
    /// Worker threads; default: one per CPU this process may run on, at most 4
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=i64::from(WORKERS_MAX)))]
    pub workers: Option<u16>,
    /// The I/O engine
    #[arg(long, value_enum, default_value_t = IoBackend::Auto)]
    pub io: IoBackend,
    /// Serve /healthz, /readyz and /metrics here; a loopback address
    #[arg(long, value_name = "ADDR")]
    pub admin_listen: Option<SocketAddr>,
    /// Write one JSON line per request to this file; - for standard output
    #[arg(long, value_name = "FILE|-")]
    pub transaction_log: Option<PathBuf>,
    /// The keytab with the connector's key for Kerberos, to sign users on to applications with sso=kerberos
    #[arg(long, value_name = "FILE", requires = "kerberos_principal")]
    pub keytab: Option<PathBuf>,
    /// Whose key of the keytab: the account that may delegate
    #[arg(long, value_name = "NAME@REALM", requires = "keytab")]
    pub kerberos_principal: Option<String>,
    /// The group's key of `postern vault key create`, for applications with sso=basic or sso=form
    #[arg(long, value_name = "FILE")]
    pub vault_key: Option<PathBuf>,
    /// Certificates with their keys, NAME.pem, for applications with backend_client_certificate=NAME
    #[arg(long, value_name = "DIR")]
    pub client_certificates: Option<PathBuf>,
    /// On the way to relays.
    #[command(flatten)]
    pub proxy: ProxyArgs,
    /// A proxy for applications with `backend_proxy=NAME`: `http://[USER@]HOST:PORT` or https://
    #[arg(long, value_name = "NAME=URL", value_delimiter = ',')]
    pub backend_proxy: Vec<String>,
    /// A file with the password of that proxy's USER
    #[arg(long, value_name = "NAME=FILE", value_delimiter = ',')]
    pub backend_proxy_password_file: Vec<String>,
}

const EXAMPLES: &str = "Examples:
  Enrol and serve; later starts need no token:
    postern-connector --relay relay.example.com:443 --token-file token --state-dir /var/lib/postern/connector
  Two relays, and a record of every request:
    postern-connector --relay edge1.example.com:443,edge2.example.com:443 --token-file token \\
      --state-dir /var/lib/postern/connector --transaction-log /var/log/postern/transactions.jsonl";

/// The I/O engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum IoBackend {
    /// io_uring where the kernel allows it, else epoll.
    Auto,
    /// io_uring.
    Uring,
    /// epoll: at more CPU time per request.
    Epoll,
}

impl From<IoBackend> for Wanted {
    fn from(asked: IoBackend) -> Self {
        match asked {
            IoBackend::Auto => Self::Auto,
            IoBackend::Uring => Self::Uring,
            IoBackend::Epoll => Self::Epoll,
        }
    }
}

/// The command line, checked. What it names may still be missing or unreadable.
#[derive(Debug, Clone)]
pub struct Options {
    /// `--relay`, without duplicates
    pub relays: Vec<RelayAddress>,
    /// `--token-file`
    pub token_file: Option<PathBuf>,
    /// `--state-dir`
    pub state_dir: PathBuf,
    /// `--io`
    pub io: IoBackend,
    /// `--workers`, or its default
    pub workers: u16,
    /// `--admin-listen`
    pub admin_listen: Option<SocketAddr>,
    /// `--transaction-log`
    pub transaction_log: Option<PathBuf>,
    /// `--keytab` and `--kerberos-principal`
    pub kerberos: Option<KerberosKey>,
    /// `--vault-key`
    pub vault_key: Option<PathBuf>,
    /// `--client-certificates`
    pub client_certificates: Option<PathBuf>,
    /// `--proxy` and what belongs to it, `--backend-proxy` and its passwords
    pub proxies: ProxyOptions,
    /// `--grace-period`
    pub grace_period: Duration,
}

/// The connector's own account in Kerberos.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KerberosKey {
    /// A file that holds its key.
    pub keytab: PathBuf,
    /// Its name.
    pub principal: String,
}

/// A command line that asks for what cannot be done. One line that says what and what to do; exit 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum Refused {
    #[error("--relay names {count} relays, at most {RELAYS_MAX} are possible")]
    TooManyRelays { count: usize },
    #[error("--relay {relay} is given twice")]
    RelayTwice { relay: RelayAddress },
    #[error(
        "--admin-listen {address} is not a loopback address: metrics are not for the public; use 127.0.0.1 or [::1]"
    )]
    AdminNotLoopback { address: SocketAddr },
    #[error("--kerberos-principal {principal:?} is no principal: write it as HTTP/connector.example.com@EXAMPLE.COM")]
    NotAPrincipal { principal: String },
    #[error(
        "--keytab: this connector was built without Kerberos; build it with --features kerberos (docs/kerberos.md)"
    )]
    NoKerberos,
}

impl Refused {
    /// The line that ends the program.
    pub(crate) fn into_failure(self) -> Failure {
        Failure::new(self.to_string())
    }
}

impl Args {
    /// Checks what needs no look at the machine. `cpus` is how many CPUs this process may run on.
    ///
    /// # Errors
    /// The first thing that cannot be done.
    pub fn check(self, cpus: u16) -> Result<Options, Refused> {
        if self.relay.len() > RELAYS_MAX {
            return Err(Refused::TooManyRelays { count: self.relay.len() });
        }
        if let Some((at, relay)) = self.relay.iter().enumerate().find(|(at, relay)| self.relay[..*at].contains(relay)) {
            debug_assert!(at > 0);
            return Err(Refused::RelayTwice { relay: relay.clone() });
        }
        if let Some(address) = self.admin_listen.filter(|address| !address.ip().is_loopback()) {
            return Err(Refused::AdminNotLoopback { address });
        }
        let kerberos = self.keytab.zip(self.kerberos_principal);
        let kerberos = kerberos.map(|(keytab, principal)| KerberosKey::check(keytab, principal)).transpose()?;
        Ok(Options {
            kerberos,
            vault_key: self.vault_key,
            client_certificates: self.client_certificates,
            proxies: ProxyOptions {
                relays: self.proxy,
                backends: self.backend_proxy,
                backend_passwords: self.backend_proxy_password_file,
            },
            relays: self.relay,
            token_file: self.token_file,
            state_dir: self.state_dir,
            io: self.io,
            workers: self.workers.unwrap_or(cpus.clamp(1, WORKERS_DEFAULT_MAX)),
            admin_listen: self.admin_listen,
            transaction_log: self.transaction_log,
            grace_period: self.service.grace_period,
        })
    }
}

impl KerberosKey {
    fn check(keytab: PathBuf, principal: String) -> Result<Self, Refused> {
        if !cfg!(feature = "kerberos") {
            return Err(Refused::NoKerberos);
        }
        let (name, realm) = principal.rsplit_once('@').unwrap_or((&principal, ""));
        let odd = |c: char| c.is_whitespace() || c.is_control() || c == '@';
        if name.is_empty()
            || realm.is_empty()
            || principal.len() > PRINCIPAL_BYTES_MAX
            || name.contains(odd)
            || realm.contains(odd)
        {
            return Err(Refused::NotAPrincipal { principal });
        }
        Ok(Self { keytab, principal })
    }
}

/// Longer than any that a KDC would know.
const PRINCIPAL_BYTES_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(more: &[&str]) -> Result<Options, Refused> {
        let base = ["postern-connector", "--state-dir", "/s", "--relay", "r.example:443,[::1]:8443"];
        Args::try_parse_from(base.iter().chain(more)).unwrap().check(64)
    }

    #[test]
    fn defaults_are_bounded() {
        let options = check(&[]).unwrap();
        assert_eq!((options.workers, options.relays.len()), (4, 2));
        assert_eq!(options.relays[1].to_string(), "[::1]:8443");
        assert_eq!(check(&["--workers", "7"]).unwrap().workers, 7);
    }

    #[test]
    fn what_cannot_be_is_refused_and_named() {
        assert_eq!(check(&["--io", "epoll"]).unwrap().io, IoBackend::Epoll);
        assert_eq!(check(&[]).unwrap().io, IoBackend::Auto);
        let refused = check(&["--admin-listen", "0.0.0.0:1"]).unwrap_err().to_string();
        assert!(refused.contains("not a loopback address"), "{refused}");
        let refused = check(&["--relay", "r.example:443"]).unwrap_err();
        assert!(matches!(refused, Refused::RelayTwice { .. }), "{refused}");
    }

    #[cfg(feature = "kerberos")]
    #[test]
    fn a_keytab_needs_a_principal_with_its_realm() {
        let asked = |principal: &str| check(&["--keytab", "/k", "--kerberos-principal", principal]);
        assert_eq!(asked("HTTP/c.example@R").unwrap().kerberos.unwrap().keytab, PathBuf::from("/k"));
        assert!(asked("connector$@R").is_ok());
        for bad in ["", "HTTP/c.example", "@R", "a@", "a@b@c", "a b@R"] {
            assert!(matches!(asked(bad), Err(Refused::NotAPrincipal { .. })), "{bad}");
        }
        let alone = ["postern-connector", "--state-dir", "/s", "--relay", "r:1", "--keytab", "/k"];
        assert!(Args::try_parse_from(alone).is_err());
    }

    #[cfg(not(feature = "kerberos"))]
    #[test]
    fn without_kerberos_a_keytab_is_refused() {
        let refused = check(&["--keytab", "/k", "--kerberos-principal", "HTTP/c.example@R"]).unwrap_err().to_string();
        assert!(refused.contains("--features kerberos"), "{refused}");
    }

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory as _;
        Args::command().debug_assert();
    }

    /// The packaged file, as it is and with every suggestion in it taken.
    #[test]
    fn the_packaged_configuration_is_understood() {
        let packaged = include_str!("../../../packaging/etc/connector.toml");
        let suggested = packaged.lines().map(|line| match line.strip_prefix("# ") {
            Some(setting) if setting.contains(" = ") => setting,
            _ => line,
        });
        let all: Vec<&str> = suggested.collect();
        for text in [packaged.to_owned(), all.join("\n")] {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("connector.toml");
            std::fs::write(&file, &text).unwrap();
            let words =
                ["postern-connector", "--config", file.to_str().unwrap(), "--state-dir", "/s", "--token-file", "/t"];
            let argv: Vec<std::ffi::OsString> = words.map(Into::into).into();
            let sources = postern_service::config::Sources { argv: &argv, environment: &|_| None };
            let args: Args = postern_service::config::parse_from(sources).unwrap_or_else(|e| panic!("{e}: {text}"));
            args.check(4).unwrap();
        }
    }
}
