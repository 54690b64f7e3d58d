//! Real KDCs that let a connector delegate, and a real Apache that demands Negotiate. The KDCs' programs are unpacked, not
//! installed: a package would start a KDC of the whole machine.

mod apache;
mod heimdal;
mod mit;
mod samba;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

pub use apache::Apache;

use crate::process::Process;
use crate::samba::Domain;
use crate::{programs, within};

/// The folder that `cargo xtask kerberos` prepares: `heimdal/`, `mit/`, `samba/`, `clock/`, and in `bin/` the programs built with
/// Kerberos.
pub const FOLDER_VARIABLE: &str = "POSTERN_TEST_KERBEROS";

/// The connector's account. It may delegate to [`APP`], and to no other service.
pub const CONNECTOR: &str = "HTTP/connector.example.test";
/// The application's account.
pub const APP: &str = "HTTP/app.example.test";
/// A service that the connector may not delegate to.
pub const OTHER: &str = "HTTP/other.example.test";
/// The place to sign in.
pub const LOGIN: &str = "HTTP/login.example.test";
/// A user's second name, whose tickets are as good.
pub const SECOND: &str = "alice/admin";
/// A user, and one whose account is locked.
pub const USERS: [&str; 2] = ["alice", "locked"];

/// What MIT's KDC and Samba's know the first one as, too: a UPN of another domain.
pub const ENTERPRISE_NAME: &str = "alice@corp.example";

/// Which KDC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Heimdal,
    /// With LDAP: its own database knows no delegation.
    Mit,
    /// A domain of Active Directory's kind.
    Samba,
}

/// A KDC of a realm with the accounts above. It ends when dropped.
pub struct Kdc {
    /// Ended in this order.
    processes: Vec<Process>,
    /// Where the KDC is a part of it.
    domain: Option<Domain>,
    folder: PathBuf,
    pub realm: &'static str,
    address: SocketAddr,
}

/// Where everything was prepared; `None` where it was not.
pub fn prepared() -> Option<PathBuf> {
    let folder = std::env::var_os(FOLDER_VARIABLE).map_or_else(|| programs::target().join("kerberos"), PathBuf::from);
    folder.join("bin/postern-kerberos-check").exists().then_some(folder)
}

impl Kdc {
    /// Starts it in `folder`.
    pub fn start(kind: Kind, prepared: &Path, folder: &Path) -> Result<Kdc> {
        match kind {
            Kind::Heimdal => heimdal::start(&prepared.join("heimdal"), &folder.join("heimdal")),
            Kind::Mit => mit::start(&prepared.join("mit"), &folder.join("mit")),
            Kind::Samba => samba::start(&prepared.join("samba"), folder),
        }
    }

    pub fn connector_keytab(&self) -> PathBuf {
        self.folder.join("connector.keytab")
    }

    pub fn app_keytab(&self) -> PathBuf {
        self.folder.join("app.keytab")
    }

    pub fn login_keytab(&self) -> PathBuf {
        self.folder.join("login.keytab")
    }

    /// The keys of those who get tickets without typing a password: the first user's, their second name's.
    pub fn users_keytab(&self) -> PathBuf {
        self.folder.join("users.keytab")
    }

    /// Whose keys the KDC writes to which keytab.
    fn keytabs(&self) -> [(&'static str, PathBuf); 5] {
        let users = self.users_keytab();
        [
            (CONNECTOR, self.connector_keytab()),
            (APP, self.app_keytab()),
            (LOGIN, self.login_keytab()),
            (USERS[0], users.clone()),
            (SECOND, users),
        ]
    }

    /// Signs a user in at the KDC; their tickets are in `cache` then.
    pub fn kinit(&self, prepared: &Path, user: &str, cache: &Path) -> Result<()> {
        let mut command = Command::new(prepared.join("heimdal/usr/bin/kinit.heimdal"));
        command.env("LD_LIBRARY_PATH", libraries(&prepared.join("heimdal")));
        command.env("KRB5_CONFIG", self.client_configuration());
        command.arg("-c").arg(format!("FILE:{}", cache.display()));
        command.arg("-k").arg("-t").arg(format!("FILE:{}", self.users_keytab().display()));
        run(command.arg(self.principal(user)).stdin(Stdio::null())).map(drop)
    }

    /// A host's krb5.conf: where the KDC is, and nothing that delegation needs.
    pub fn client_configuration(&self) -> PathBuf {
        self.folder.join("client.conf")
    }

    /// `NAME@REALM`
    pub fn principal(&self, name: &str) -> String {
        format!("{name}@{}", self.realm)
    }

    /// What Samba's is a part of.
    pub fn domain(&self) -> Option<&Domain> {
        self.domain.as_ref()
    }

    pub fn stop(&mut self) {
        self.processes.clear();
        // Its address stays: nobody answers there.
        if let Some(domain) = &mut self.domain {
            domain.process().kill();
        }
    }

    /// Runs `postern-kerberos-check` with the connector's key.
    pub fn check(&self, prepared: &Path, user: &str, service: &str) -> Result<Output> {
        let mut command = self.check_command(prepared, &self.connector_keytab());
        command.args(["--user", user, "--service", service]);
        command.stdin(Stdio::null()).output().context("postern-kerberos-check")
    }

    pub fn check_command(&self, prepared: &Path, keytab: &Path) -> Command {
        let mut command = Command::new(prepared.join("bin/postern-kerberos-check"));
        command.env("KRB5_CONFIG", self.client_configuration());
        command.arg("--keytab").arg(keytab).args(["--kerberos-principal", &self.principal(CONNECTOR)]);
        command
    }

    fn write_client_configuration(&self) -> Result<()> {
        let (realm, address) = (self.realm, self.address);
        let text = format!(
            "[libdefaults]\n  default_realm = {realm}\n  dns_lookup_kdc = false\n  dns_lookup_realm = false\n[realms]\n  {realm} = {{\n    kdc = {address}\n  }}\n[domain_realm]\n  .example.test = {realm}\n"
        );
        Ok(std::fs::write(self.client_configuration(), text)?)
    }
}

/// Runs a program of the unpacked ones to its end.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{:?}", command.get_program()))?;
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        bail!("{command:?}: {said}");
    }
    Ok(said)
}

/// Folders that hold the libraries of what was unpacked in `root`.
pub(crate) fn libraries(root: &Path) -> String {
    let arch = format!("{}-linux-gnu", std::env::consts::ARCH);
    let folders = ["usr/lib/ARCH", "usr/lib/ARCH/krb5", "lib/ARCH"];
    let folders = folders.map(|folder| root.join(folder.replace("ARCH", &arch)).display().to_string());
    folders.join(":")
}

/// What a program must load to have another clock.
fn other_clock(prepared: &Path) -> PathBuf {
    prepared.join(format!("clock/usr/lib/{}-linux-gnu/faketime/libfaketime.so.1", std::env::consts::ARCH))
}

fn answers(address: SocketAddr, process: &mut Process) -> Result<()> {
    let up = within(Duration::from_secs(10), || std::net::TcpStream::connect(address).is_ok());
    if up && process.is_alive() { Ok(()) } else { bail!("{} does not start: {}", process.name(), process.log_tail()) }
}
