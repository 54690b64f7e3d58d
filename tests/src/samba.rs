//! A real domain of Active Directory's kind: Samba as its only domain controller, with LDAP and the KDC. Its ports are fixed: it
//! has a network namespace of its own. Its programs are unpacked, not installed: a package would serve the whole machine. Paths
//! of their modules are compiled in: what is unpacked is laid over `/usr`, for them alone.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::certificate::{Certificate, self_signed_for_address};
use crate::netns::Netns;
use crate::process::Process;
use crate::world::write_secret;
use crate::{kerberos, within};

pub const REALM: &str = "CORP.EXAMPLE.TEST";
/// The domain as a distinguished name.
pub const BASE: &str = "DC=corp,DC=example,DC=test";
/// Who reads it: a user like any other.
const READER: &str = "postern-reader";
const PASSWORD: &str = "Open-Sesame-1";

/// It ends when dropped, and then its namespace does.
pub struct Domain {
    process: Process,
    root: PathBuf,
    folder: PathBuf,
    certificate: Certificate,
    netns: Netns,
}

/// Where its programs are; `None` where they are not, or where no namespace can be made for them.
#[must_use]
pub fn root() -> Option<PathBuf> {
    let root = kerberos::prepared().map(|folder| folder.join("samba"));
    root.filter(|root| root.join("usr/sbin/samba").exists() && Netns::is_possible())
}

impl Domain {
    /// Makes the domain and starts its controller, with nobody in it but whom every domain has, and who reads it. `subnet` as
    /// for [`Netns::create`].
    pub fn start(root: &Path, folder: &Path, subnet: u8) -> Result<Domain> {
        let folder = folder.join("samba");
        std::fs::create_dir_all(&folder)?;
        let netns = Netns::create(subnet)?;
        let certificate = self_signed_for_address(&folder, netns.inside().into())?;
        // Samba takes no key that others might read.
        std::fs::set_permissions(&certificate.key, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        write_secret(&folder.join("password"), &format!("{PASSWORD}\n"))?;
        kerberos::run(&mut provision(root, &folder, &netns, &certificate))?;
        let process = run(root, &folder, &netns)?;
        let domain = Domain { process, root: root.to_owned(), folder, certificate, netns };
        domain.tool(&format!("user create {READER} {PASSWORD}"))?;
        Ok(domain)
    }

    /// `samba-tool`; blanks part its arguments.
    pub fn tool(&self, line: &str) -> Result<String> {
        let mut command = inside(&self.root, &self.netns, "/usr/bin/samba-tool");
        kerberos::run(command.args(line.split(' ')).arg("--configfile").arg(configuration(&self.folder)))
    }

    /// Applies LDIF by `ldbmodify`; entries without a `changetype` are added.
    pub fn change(&self, ldif: &str) -> Result<()> {
        let mut command = inside(&self.root, &self.netns, "/usr/bin/ldbmodify");
        command.arg("-H").arg(self.folder.join("domain/private/sam.ldb"));
        command.arg("--configfile").arg(configuration(&self.folder));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        child.stdin.take().context("a pipe")?.write_all(ldif.as_bytes())?;
        let output = child.wait_with_output()?;
        if !output.status.success() {
            let ldif: String = ldif.chars().take(2_000).collect();
            bail!("ldbmodify: {}\n{ldif}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    /// Its own address, which this side reaches.
    pub fn address(&self) -> Ipv4Addr {
        self.netns.inside()
    }

    /// Arguments for the process that reads it.
    pub fn arguments(&self, url: &str) -> Vec<String> {
        let file = |path: &Path| path.display().to_string();
        let (password, certificate) = (file(&self.folder.join("password")), file(&self.certificate.certificate));
        let account = format!("{READER}@{REALM}");
        ["--directory", url, "--ca", &certificate, "--bind-dn", &account, "--bind-password-file", &password]
            .map(ToOwned::to_owned)
            .into()
    }

    pub fn ldaps_url(&self) -> String {
        format!("ldaps://{}", self.address())
    }

    /// StartTLS is asked for.
    pub fn ldap_url(&self) -> String {
        format!("ldap://{}", self.address())
    }

    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

fn provision(root: &Path, folder: &Path, netns: &Netns, certificate: &Certificate) -> Command {
    let domain = folder.join("domain");
    let mut command = inside(root, netns, "/usr/bin/samba-tool");
    command.args(["domain", "provision", "--quiet", "--server-role=dc", "--dns-backend=SAMBA_INTERNAL"]);
    command.args(["--use-rfc2307", "--domain=CORP", "--host-name=dc1"]);
    command.arg(format!("--realm={REALM}")).arg(format!("--host-ip={}", netns.inside()));
    command.arg(format!("--adminpass={PASSWORD}")).arg(format!("--targetdir={}", domain.display()));
    // Nothing lies outside its folder, and what is there need not last.
    for (option, value) in [
        ("pid directory", domain.clone()),
        ("ncalrpc dir", domain.join("ncalrpc")),
        ("tls certfile", certificate.certificate.clone()),
        ("tls keyfile", certificate.key.clone()),
        ("tls cafile", certificate.certificate.clone()),
        ("server services", "ldap, kdc".into()),
        ("ldb:nosync", "yes".into()),
    ] {
        command.arg(format!("--option={option}={}", value.display()));
    }
    command
}

fn run(root: &Path, folder: &Path, netns: &Netns) -> Result<Process> {
    let mut command = inside(root, netns, "/usr/sbin/samba");
    command.args(["--foreground", "--no-process-group", "--debug-stdout", "--model=single"]);
    command.arg("--configfile").arg(configuration(folder));
    let mut process = Process::spawn("samba", command, &folder.join("log"))?;
    let address = |port: u16| SocketAddr::from((netns.inside(), port));
    let answers = || [LDAPS, LDAP, KDC].iter().all(|port| TcpStream::connect(address(*port)).is_ok());
    if within(Duration::from_secs(30), answers) && process.is_alive() {
        return Ok(process);
    }
    bail!("samba does not start: {}", process.log_tail())
}

fn configuration(folder: &Path) -> PathBuf {
    folder.join("domain/etc/smb.conf")
}

/// A program of what is unpacked, in the namespace. `ip netns exec` gives it mounts of its own, too.
fn inside(root: &Path, netns: &Netns, program: &str) -> Command {
    let mut command = netns.command("sh");
    command.args(["-c", "mount -t overlay overlay -o \"lowerdir=$0/usr:/usr\" /usr && exec \"$@\""]);
    // Its scripts want the system's Python, whatever else is in PATH.
    command.arg(root).arg(program).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command
}

const LDAPS: u16 = 636;
const LDAP: u16 = 389;
/// Where the KDC answers.
pub(crate) const KDC: u16 = 88;
