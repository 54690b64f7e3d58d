//! A real SAML service provider: Apache with mod_auth_mellon (on Lasso) in front of one page, which says who it takes the user
//! for.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::process::Process;
use crate::within;
use crate::world::free_address;

pub struct Mellon {
    process: Process,
    address: SocketAddr,
}

/// What it is called from outside.
pub struct Setup<'a> {
    /// `https://HOST:PORT`.
    pub external: &'a str,
    /// The identity provider's metadata.
    pub metadata: &'a str,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Setup<'_> {
    /// Its name in SAML.
    pub fn entity_id(external: &str) -> String {
        format!("{external}/mellon/metadata")
    }

    /// Where it takes assertions.
    pub fn acs(external: &str) -> String {
        format!("{external}/mellon/postResponse")
    }
}

impl Mellon {
    /// Is there, with the module?
    pub fn is_installed() -> bool {
        Path::new(PROGRAM).exists() && Path::new(MODULES).join("mod_auth_mellon.so").exists()
    }

    /// A port that is free now.
    pub fn free_address() -> Result<SocketAddr> {
        free_address(Ipv4Addr::LOCALHOST)
    }

    pub fn start(folder: &Path, setup: &Setup<'_>) -> Result<Mellon> {
        let folder = folder.join("mellon");
        std::fs::create_dir_all(folder.join("www"))?;
        key(&folder)?;
        std::fs::write(folder.join("idp.xml"), setup.metadata)?;
        std::fs::write(folder.join("sp.xml"), metadata(&folder, setup.external)?)?;
        let page = "user=<!--#echo var=\"REMOTE_USER\" --> mail=<!--#echo var=\"MELLON_mail\" --> groups=<!--#echo var=\"MELLON_groups\" -->\n";
        std::fs::write(folder.join("www/index.shtml"), page)?;
        let configuration = folder.join("httpd.conf");
        std::fs::write(&configuration, text(&folder, setup))?;
        readable(&folder)?;
        let mut command = Command::new(PROGRAM);
        command.arg("-f").arg(&configuration).arg("-DFOREGROUND");
        let mut process = Process::spawn("apache2", command, &folder.join("log"))?;
        let up = within(Duration::from_secs(10), || std::net::TcpStream::connect(setup.address).is_ok());
        if !up || !process.is_alive() {
            bail!("Apache does not start: {}", process.log_tail());
        }
        Ok(Mellon { process, address: setup.address })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn process(&self) -> &Process {
        &self.process
    }
}

/// What it signs its requests with.
fn key(folder: &Path) -> Result<()> {
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=mellon"]);
    command.arg("-keyout").arg(folder.join("sp.key")).arg("-out").arg(folder.join("sp.pem"));
    let output = command.output().context("openssl")?;
    if !output.status.success() {
        bail!("openssl: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

fn metadata(folder: &Path, external: &str) -> Result<String> {
    let pem = std::fs::read_to_string(folder.join("sp.pem"))?;
    let certificate: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let (entity_id, acs) = (Setup::entity_id(external), Setup::acs(external));
    Ok(format!(
        r#"<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="{entity_id}">
  <SPSSODescriptor AuthnRequestsSigned="true" WantAssertionsSigned="true" protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">
    <KeyDescriptor use="signing"><KeyInfo xmlns="http://www.w3.org/2000/09/xmldsig#"><X509Data><X509Certificate>{certificate}</X509Certificate></X509Data></KeyInfo></KeyDescriptor>
    <NameIDFormat>urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified</NameIDFormat>
    <AssertionConsumerService index="0" isDefault="true" Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="{acs}"/>
  </SPSSODescriptor>
</EntityDescriptor>
"#
    ))
}

/// Its workers run as another user.
fn readable(folder: &Path) -> Result<()> {
    let mut all: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(path) = all.pop() {
        let is_folder = path.is_dir();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(if is_folder { 0o755 } else { 0o644 }))?;
        if is_folder {
            all.extend(std::fs::read_dir(&path)?.filter_map(Result::ok).map(|entry| entry.path()));
        }
    }
    Ok(())
}

const PROGRAM: &str = "/usr/sbin/apache2";
const MODULES: &str = "/usr/lib/apache2/modules";

fn text(folder: &Path, setup: &Setup<'_>) -> String {
    let Setup { external, address, metadata: _ } = setup;
    let folder = folder.display();
    let modules = ["mpm_event", "authn_core", "authz_core", "authz_user", "auth_mellon", "dir", "include", "mime"];
    let load: String =
        modules.iter().map(|name| format!("LoadModule {name}_module {MODULES}/mod_{name}.so\n")).collect();
    let user = if nix::unistd::geteuid().is_root() { "User www-data\nGroup www-data\n" } else { "" };
    format!(
        "{load}{user}ServerRoot {folder}
PidFile {folder}/pid
DefaultRuntimeDir {folder}
Mutex file:{folder}
Listen {address}
ServerName {external}
UseCanonicalName On
StartServers 1
ServerLimit 1
ThreadsPerChild 8
MaxRequestWorkers 8
TypesConfig /dev/null
ErrorLog {folder}/error.log
LogLevel info auth_mellon:debug
DocumentRoot {folder}/www
DirectoryIndex index.shtml
AddType text/html .shtml
AddOutputFilter INCLUDES .shtml
MellonLockFile {folder}/mellon.lock
MellonPostDirectory {folder}
<Location />
  Options +Includes
  AuthType Mellon
  MellonEnable auth
  MellonEndpointPath /mellon
  MellonSecureCookie On
  MellonSPPrivateKeyFile {folder}/sp.key
  MellonSPCertFile {folder}/sp.pem
  MellonSPMetadataFile {folder}/sp.xml
  MellonIdPMetadataFile {folder}/idp.xml
  MellonMergeEnvVars On \",\"
  Require valid-user
</Location>
"
    )
}
