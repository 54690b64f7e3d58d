//! MIT with its accounts in OpenLDAP: the attribute `krbAllowedToDelegateTo` is what its own database has no place for.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{APP, CONNECTOR, ENTERPRISE_NAME, Kdc, LOGIN, OTHER, SECOND, USERS, answers, libraries, run};
use crate::process::Process;
use crate::within;
use crate::world::free_address;

const REALM: &str = "MIT.TEST";
const ADMIN: &str = "cn=admin,dc=test";
const PASSWORD: &str = "secret";

/// What its programs need to know.
struct Realm<'a> {
    root: &'a Path,
    folder: &'a Path,
    ldap: String,
}

pub(super) fn start(root: &Path, folder: &Path) -> Result<Kdc> {
    std::fs::create_dir_all(folder.join("ldap"))?;
    let address = free_address(Ipv4Addr::LOCALHOST)?;
    let mut kdc = Kdc { processes: Vec::new(), domain: None, folder: folder.to_owned(), realm: REALM, address };
    kdc.write_client_configuration()?;
    let ldap = format!("ldapi://{}", folder.join("ldapi").display().to_string().replace('/', "%2F"));
    let realm = Realm { root, folder, ldap };
    let slapd = realm.start_ldap()?;
    realm.change("ldapadd", "dn: dc=test\nobjectClass: dcObject\nobjectClass: organization\no: test\ndc: test\n")?;
    std::fs::write(folder.join("kdc.conf"), realm.configuration(address.port()))?;
    std::fs::write(folder.join("passwords"), format!("{ADMIN}#{{HEX}}736563726574\n"))?;
    let mut create = realm.program("usr/sbin/kdb5_ldap_util");
    create.args(["-D", ADMIN, "-w", PASSWORD, "-H", &realm.ldap, "create", "-subtrees", "dc=test"]);
    run(create.args(["-r", REALM, "-s", "-P", "master"]))?;
    realm.accounts(&kdc)?;
    let mut command = realm.program("usr/sbin/krb5kdc");
    command.args(["-n", "-r", REALM]);
    let mut process = Process::spawn("MIT's krb5kdc", command, &folder.join("kdc.out"))?;
    answers(address, &mut process)?;
    kdc.processes.extend([process, slapd]);
    Ok(kdc)
}

impl Realm<'_> {
    fn program(&self, path: &str) -> Command {
        let mut command = Command::new(self.root.join(path));
        command.env("LD_LIBRARY_PATH", libraries(self.root));
        command.env("KRB5_CONFIG", self.folder.join("client.conf"));
        command.env("KRB5_KDC_PROFILE", self.folder.join("kdc.conf"));
        command
    }

    fn start_ldap(&self) -> Result<Process> {
        let (root, folder) = (self.root, self.folder);
        let packed = root.join("usr/share/doc/krb5-kdc-ldap/kerberos.schema.gz");
        std::fs::write(folder.join("kerberos.schema"), run(Command::new("gzip").arg("-dc").arg(packed))?)?;
        let (root, folder) = (root.display(), folder.display());
        let configuration = format!(
            "include {root}/etc/ldap/schema/core.schema
include {folder}/kerberos.schema
modulepath {root}/usr/lib/ldap
moduleload back_mdb.so
pidfile {folder}/slapd.pid
database mdb
suffix \"dc=test\"
rootdn \"{ADMIN}\"
rootpw {PASSWORD}
directory {folder}/ldap
"
        );
        let file = self.folder.join("slapd.conf");
        std::fs::write(&file, configuration)?;
        let mut command = self.program("usr/sbin/slapd");
        command.arg("-f").arg(file).args(["-h", &self.ldap, "-d", "0"]);
        let mut process = Process::spawn("slapd", command, &self.folder.join("slapd.log"))?;
        let socket = self.folder.join("ldapi");
        if within(Duration::from_secs(10), || UnixStream::connect(&socket).is_ok()) && process.is_alive() {
            return Ok(process);
        }
        bail!("slapd does not start: {}", process.log_tail())
    }

    fn change(&self, program: &str, ldif: &str) -> Result<()> {
        let mut command = self.program(&format!("usr/bin/{program}"));
        command.args(["-x", "-H", &self.ldap, "-D", ADMIN, "-w", PASSWORD]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().context("ldap-utils")?;
        child.stdin.take().context("a pipe")?.write_all(ldif.as_bytes())?;
        if child.wait()?.success() { Ok(()) } else { bail!("{program} refuses {ldif}") }
    }

    fn accounts(&self, kdc: &Kdc) -> Result<()> {
        let admin = |query: &str| run(self.program("usr/sbin/kadmin.local").args(["-r", REALM, "-q", query]));
        for name in [USERS[0], USERS[1], SECOND, CONNECTOR, APP, OTHER, LOGIN] {
            admin(&format!("addprinc -randkey {name}"))?;
        }
        admin(&format!("modprinc -allow_tix {}", USERS[1]))?;
        admin(&format!("modprinc +ok_to_auth_as_delegate {CONNECTOR}"))?;
        for (service, keytab) in kdc.keytabs() {
            admin(&format!("ktadd -k {} {service}", keytab.display()))?;
        }
        self.change(
            "ldapmodify",
            &format!(
                "dn: krbPrincipalName={CONNECTOR}@{REALM},cn={REALM},cn=krb,dc=test
changetype: modify
add: krbAllowedToDelegateTo
krbAllowedToDelegateTo: {APP}@{REALM}

dn: krbPrincipalName={user}@{REALM},cn={REALM},cn=krb,dc=test
changetype: modify
add: krbCanonicalName
krbCanonicalName: {user}@{REALM}
-
add: krbPrincipalName
krbPrincipalName: {ENTERPRISE_NAME}@{REALM}
",
                user = USERS[0],
            ),
        )
    }

    fn configuration(&self, port: u16) -> String {
        let modules = self.root.join(format!("usr/lib/{}-linux-gnu/krb5/plugins/kdb", std::env::consts::ARCH));
        let (folder, modules, ldap) = (self.folder.display(), modules.display(), &self.ldap);
        format!(
            "[kdcdefaults]
  kdc_listen = 127.0.0.1:{port}
  kdc_tcp_listen = 127.0.0.1:{port}
[realms]
  {REALM} = {{
    database_module = ldap
    key_stash_file = {folder}/stash
    acl_file = {folder}/acl
    max_life = 10h
  }}
[dbmodules]
  db_module_dir = {modules}
  ldap = {{
    db_library = kldap
    ldap_kerberos_container_dn = cn=krb,dc=test
    ldap_kdc_dn = {ADMIN}
    ldap_kadmind_dn = {ADMIN}
    ldap_service_password_file = {folder}/passwords
    ldap_servers = {ldap}
  }}
[logging]
  kdc = FILE:{folder}/kdc.log
  default = FILE:{folder}/kdc.log
"
        )
    }
}
