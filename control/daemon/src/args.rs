//! The command line of `postern-control`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use postern_model::admin::SOCKET_NAME;
use postern_service::ServiceArgs;
use postern_service::failure::Failure;

use crate::audit::RetentionArgs;
use crate::certificates::ocsp::Reach;

/// Keeps Postern's state, keys and audit log, and tells relays what to serve. Never on the path of a request.
///
/// Started on an empty state folder it initialises itself: two authorities, the tenant `default` and its group `default`.
#[derive(Parser, Debug, Clone)]
#[command(name = "postern-control", version, after_long_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    pub service: ServiceArgs,
    /// Folder for state and keys; made with mode 0700
    #[arg(long, value_name = "DIR")]
    pub state_dir: PathBuf,
    /// Unix socket for `postern` and for relays [default: STATE_DIR/admin.sock]
    #[arg(long, value_name = "PATH")]
    pub admin_socket: Option<PathBuf>,
    /// Relay to dial; may be given several times. As `postern relay add`, trusting its key at first use
    #[arg(long, value_name = "HOST:PORT")]
    pub relay: Vec<String>,
    /// Where the state is: sqlite:PATH [default: sqlite:STATE_DIR/control.db]
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,
    /// Address for /healthz, /readyz and /metrics; off unless given
    #[arg(long, value_name = "ADDR")]
    pub admin_listen: Option<SocketAddr>,
    /// Countries of addresses, for policies: a database in MaxMind's format, read again when the file is another
    #[arg(long, value_name = "FILE")]
    pub geoip: Option<PathBuf>,
    /// Autonomous systems of addresses, for policies and risk: such a database, read again likewise
    #[arg(long, value_name = "FILE")]
    pub geoip_asn: Option<PathBuf>,
    /// Publish nothing but at domains that their tenant has verified by a record in the DNS: postern domain add
    #[arg(long)]
    pub verified_domains: bool,
    /// Resolver that is asked for those records, over TCP; may be given several times [default: those of resolv.conf]
    #[arg(long, value_name = "IP[:PORT]", value_parser = crate::domains::dns::server)]
    pub dns_server: Vec<SocketAddr>,
    /// User id that may administer, besides root and this process's own; may be given several times
    #[arg(long, value_name = "UID")]
    pub admin_uid: Vec<u32>,
    /// User id that relays on this host run as; may be given several times
    #[arg(long, value_name = "UID")]
    pub relay_uid: Vec<u32>,
    /// Also ask OCSP responders in networks of one's own, where a certificate names one there
    #[arg(long)]
    pub ocsp_private: bool,
    #[command(flatten)]
    pub(crate) retention: RetentionArgs,
}

impl Args {
    /// The admin socket's path.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.admin_socket.clone().unwrap_or_else(|| self.state_dir.join(SOCKET_NAME))
    }

    /// Where OCSP responders may be.
    pub(crate) fn reach(&self) -> Reach {
        if self.ocsp_private { Reach::Anywhere } else { Reach::Public }
    }

    /// The SQLite file.
    pub(crate) fn sqlite_path(&self) -> Result<PathBuf, Failure> {
        let Some(store) = &self.store else { return Ok(self.state_dir.join("control.db")) };
        match store.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => Ok(path.into()),
            Some(("postgres" | "postgresql", _)) => {
                let refused = Failure::new("--store postgres:// is not available yet");
                Err(refused.cure("use --store sqlite:PATH").code("not-yet-available"))
            }
            Some(_) | None => Err(Failure::usage(format!("--store {store}: it must be sqlite:PATH"))),
        }
    }
}

const EXAMPLES: &str = "Examples:
  postern-control --state-dir /var/lib/postern/control
  postern-control --state-dir ./control --relay relay.example.com:443
  postern-control --state-dir ./control --admin-listen 127.0.0.1:9102";

#[cfg(test)]
mod tests {
    use super::*;

    /// The packaged file, as it is and with every suggestion in it taken.
    #[test]
    fn the_packaged_configuration_is_understood() {
        let packaged = include_str!("../../../packaging/etc/control.toml");
        let suggested = packaged.lines().map(|line| match line.strip_prefix("# ") {
            Some(setting) if setting.contains(" = ") => setting,
            _ => line,
        });
        let all: Vec<&str> = suggested.collect();
        for text in [packaged.to_owned(), all.join("\n")] {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("control.toml");
            std::fs::write(&file, &text).unwrap();
            let words =
                ["postern-control", "--config", file.to_str().unwrap(), "--state-dir", "/s", "--admin-socket", "/a"];
            let argv: Vec<std::ffi::OsString> = words.map(Into::into).into();
            let sources = postern_service::config::Sources { argv: &argv, environment: &|_| None };
            let args: Args = postern_service::config::parse_from(sources).unwrap_or_else(|e| panic!("{e}: {text}"));
            args.sqlite_path().unwrap();
        }
    }
}
