//! A real directory: OpenLDAP with people and groups, over TLS, on a free port. Its programs are the system's, or those that were
//! unpacked for the KDCs: an installed package would serve the whole machine.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::certificate::{Certificate, self_signed_for_address};
use crate::process::Process;
use crate::world::{free_address, write_secret};
use crate::{kerberos, within};

/// Who reads and writes it.
pub const ADMIN: &str = "cn=admin,dc=example,dc=test";
pub const PASSWORD: &str = "open sesame";

pub struct OpenLdap {
    process: Process,
    root: PathBuf,
    folder: PathBuf,
    certificate: Certificate,
    /// For TLS from the first byte on.
    ldaps: SocketAddr,
    /// For StartTLS.
    ldap: SocketAddr,
}

/// Where its programs are; `None` where they are not.
#[must_use]
pub fn root() -> Option<PathBuf> {
    let unpacked = kerberos::prepared().map(|folder| folder.join("mit"));
    [Some(PathBuf::from("/")), unpacked]
        .into_iter()
        .flatten()
        .find(|root| root.join("usr/sbin/slapd").exists() && root.join("usr/bin/ldapmodify").exists())
}

impl OpenLdap {
    /// Starts it with nobody in it but the roots of people and groups.
    pub fn start(root: &Path, folder: &Path) -> Result<OpenLdap> {
        let folder = folder.join("openldap");
        std::fs::create_dir_all(folder.join("db"))?;
        let certificate = self_signed_for_address(&folder, Ipv4Addr::LOCALHOST.into())?;
        write_secret(&folder.join("password"), &format!("{PASSWORD}\n"))?;
        std::fs::write(folder.join("slapd.conf"), configuration(root, &folder, &certificate))?;
        let (ldaps, ldap) = (free_address(Ipv4Addr::LOCALHOST)?, free_address(Ipv4Addr::LOCALHOST)?);
        let process = run(root, &folder, ldaps, ldap)?;
        let ldap = OpenLdap { process, root: root.to_owned(), folder, certificate, ldaps, ldap };
        ldap.change(
            "dn: dc=example,dc=test\nobjectClass: dcObject\nobjectClass: organization\no: test\ndc: example\n\n\
             dn: ou=people,dc=example,dc=test\nobjectClass: organizationalUnit\nou: people\n\n\
             dn: ou=groups,dc=example,dc=test\nobjectClass: organizationalUnit\nou: groups\n",
        )?;
        Ok(ldap)
    }

    /// Applies LDIF; entries without a `changetype` are added.
    pub fn change(&self, ldif: &str) -> Result<()> {
        let mut command = program(&self.root, "usr/bin/ldapmodify");
        command.args(["-a", "-x", "-H", &format!("ldaps://{}", self.ldaps), "-D", ADMIN, "-w", PASSWORD]);
        command.env("LDAPTLS_CACERT", &self.certificate.certificate);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        child.stdin.take().context("a pipe")?.write_all(ldif.as_bytes())?;
        let output = child.wait_with_output()?;
        if !output.status.success() {
            let ldif: String = ldif.chars().take(2_000).collect();
            bail!("ldapmodify: {}\n{ldif}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    /// Many people at once, from `person-FIRST` on.
    pub fn add_people(&self, first: usize, count: usize) -> Result<()> {
        let mut ldif = String::new();
        for nth in first..first + count {
            writeln!(ldif, "{}", person(&format!("person-{nth}"), &format!("Person {nth}")))?;
        }
        self.change(&ldif)
    }

    /// Arguments for the process that reads it.
    pub fn arguments(&self, url: &str) -> Vec<String> {
        let file = |path: &Path| path.display().to_string();
        let password = file(&self.folder.join("password"));
        let certificate = file(&self.certificate.certificate);
        ["--directory", url, "--ca", &certificate, "--bind-dn", ADMIN, "--bind-password-file", &password]
            .map(ToOwned::to_owned)
            .into()
    }

    pub fn ldaps_url(&self) -> String {
        format!("ldaps://{}", self.ldaps)
    }

    /// StartTLS is asked for.
    pub fn ldap_url(&self) -> String {
        format!("ldap://{}", self.ldap)
    }

    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Starts it again as it was.
    pub fn restart(&mut self) -> Result<()> {
        self.process.kill();
        self.process = run(&self.root, &self.folder, self.ldaps, self.ldap)?;
        Ok(())
    }
}

/// LDIF of somebody below `ou=people`.
#[must_use]
pub fn person(uid: &str, name: &str) -> String {
    format!(
        "dn: uid={uid},ou=people,dc=example,dc=test\nobjectClass: inetOrgPerson\nobjectClass: testAccount\nuid: {uid}\n\
         cn: {name}\nsn: {name}\nmail: {uid}@example.test\n"
    )
}

/// LDIF of a group with these members, by their names.
#[must_use]
pub fn group(cn: &str, members: &[&str]) -> String {
    let members: String = members.iter().map(|member| format!("member: {member},dc=example,dc=test\n")).collect();
    format!("dn: cn={cn},ou=groups,dc=example,dc=test\nobjectClass: groupOfNames\ncn: {cn}\n{members}")
}

fn run(root: &Path, folder: &Path, ldaps: SocketAddr, ldap: SocketAddr) -> Result<Process> {
    let mut command = program(root, "usr/sbin/slapd");
    command.arg("-f").arg(folder.join("slapd.conf")).args(["-d", "0", "-h", &format!("ldaps://{ldaps} ldap://{ldap}")]);
    let mut process = Process::spawn("slapd", command, &folder.join("slapd.log"))?;
    let answers = || [ldaps, ldap].iter().all(|address| TcpStream::connect(address).is_ok());
    if within(Duration::from_secs(20), answers) && process.is_alive() {
        return Ok(process);
    }
    bail!("slapd does not start: {}", process.log_tail())
}

fn program(root: &Path, path: &str) -> Command {
    let mut command = Command::new(root.join(path));
    if root != Path::new("/") {
        command.env("LD_LIBRARY_PATH", kerberos::libraries(root));
    }
    command
}

fn configuration(root: &Path, folder: &Path, certificate: &Certificate) -> String {
    let schema = root.join("etc/ldap/schema");
    let includes: String = ["core", "cosine", "inetorgperson"]
        .iter()
        .map(|name| format!("include {}/{name}.schema\n", schema.display()))
        .collect();
    format!(
        "{includes}
attributetype ( 1.2.840.113556.1.4.8 NAME 'userAccountControl' EQUALITY integerMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
objectclass ( 1.3.6.1.4.1.4203.666.1 NAME 'testAccount' SUP top AUXILIARY MAY userAccountControl )
modulepath {modules}
moduleload back_mdb
pidfile {folder}/slapd.pid
sizelimit unlimited
TLSCertificateFile {certificate}
TLSCertificateKeyFile {key}
database mdb
maxsize 1073741824
suffix \"dc=example,dc=test\"
rootdn \"{ADMIN}\"
rootpw \"{PASSWORD}\"
directory {folder}/db
dbnosync
index objectClass,entryUUID,modifyTimestamp eq
",
        modules = root.join("usr/lib/ldap").display(),
        folder = folder.display(),
        certificate = certificate.certificate.display(),
        key = certificate.key.display(),
    )
}
