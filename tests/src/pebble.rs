//! A real authority of certificates that speaks ACME: Let's Encrypt's Pebble. It looks at hosts as any authority does, at the ports
//! that it is told.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::certificate::{Certificate, self_signed_for_address};
use crate::process::Process;
use crate::within;
use crate::world::free_address;

/// The key of External Account Binding that it knows, where it asks for one.
pub const KID: &str = "kid-1";
pub const KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
/// It issues nothing for this domain.
pub const BLOCKED: &str = "blocked.example.test";

/// How it is to be.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Whom it asks for addresses.
    pub dns: SocketAddr,
    /// Where it looks by http-01, and …
    pub http: u16,
    /// … by tls-alpn-01.
    pub tls: u16,
    /// How long its certificates live.
    pub validity_s: u64,
    /// Whether accounts need a key of [`KID`].
    pub binding: bool,
}

/// It ends when dropped, and forgets everything.
pub struct Pebble {
    process: Process,
    folder: PathBuf,
    certificate: Certificate,
    listen: SocketAddr,
    management: SocketAddr,
}

impl Pebble {
    /// Whether its program is there.
    pub fn is_possible() -> bool {
        Path::new(PROGRAM).exists()
    }

    pub fn start(folder: &Path, settings: Settings) -> Result<Pebble> {
        let folder = folder.join("pebble");
        std::fs::create_dir_all(&folder)?;
        let certificate = self_signed_for_address(&folder, Ipv4Addr::LOCALHOST.into())?;
        let (listen, management) = (free_address(Ipv4Addr::LOCALHOST)?, free_address(Ipv4Addr::LOCALHOST)?);
        let configuration = json!({"pebble": {
            "listenAddress": listen.to_string(),
            "managementListenAddress": management.to_string(),
            "certificate": certificate.certificate,
            "privateKey": certificate.key,
            "httpPort": settings.http,
            "tlsPort": settings.tls,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": settings.binding,
            "externalAccountMACKeys": {KID: KEY},
            "domainBlocklist": [BLOCKED],
            "certificateValidityPeriod": settings.validity_s,
        }});
        let file = folder.join("pebble.json");
        std::fs::write(&file, configuration.to_string())?;
        let mut command = Command::new(PROGRAM);
        command.arg("-strict").arg("-config").arg(&file).arg("-dnsserver").arg(settings.dns.to_string());
        // It looks at once, and at each order.
        command.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_AUTHZREUSE", "0");
        let process = Process::spawn("pebble", command, &folder.join("pebble.log"))?;
        let mut pebble = Pebble { process, folder, certificate, listen, management };
        if within(Duration::from_secs(20), || pebble.root().is_ok()) && pebble.process.is_alive() {
            return Ok(pebble);
        }
        bail!("pebble does not start: {}", pebble.process.log_tail())
    }

    /// Where it says what it offers.
    pub fn directory(&self) -> String {
        format!("https://{}/dir", self.listen)
    }

    /// What verifies its own certificate.
    pub fn ca(&self) -> &Path {
        &self.certificate.certificate
    }

    /// What verifies those that it issues.
    pub fn root(&self) -> Result<PathBuf> {
        let url = format!("https://{}/roots/0", self.management);
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--fail", "--cacert"]).arg(self.ca()).arg(url);
        let output = curl.stdin(Stdio::null()).output().context("curl")?;
        if !output.status.success() {
            bail!("pebble shows no root");
        }
        let file = self.folder.join("root.pem");
        std::fs::write(&file, output.stdout)?;
        Ok(file)
    }

    /// What it did.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Ends it.
    pub fn kill(&mut self) {
        self.process.kill();
    }
}

const PROGRAM: &str = "/usr/bin/pebble";
