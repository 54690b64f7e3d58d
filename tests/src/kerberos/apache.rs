//! Apache with mod_auth_gssapi as the private application, which says who it takes the user for, or as a forward proxy.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::{Kdc, answers};
use crate::process::Process;
use crate::world::free_address;

/// Every path asks for Negotiate; the page is `REMOTE_USER=…`.
pub struct Apache {
    process: Process,
    address: SocketAddr,
}

impl Apache {
    /// Is there, with the module?
    pub fn is_installed() -> bool {
        Path::new(PROGRAM).exists() && Path::new(MODULES).join("mod_auth_gssapi.so").exists()
    }

    /// Knows the application's key at `kdc`.
    pub fn start(kdc: &Kdc, folder: &Path) -> Result<Apache> {
        Apache::start_by(Command::new(PROGRAM), kdc, folder, text)
    }

    /// A proxy that carries CONNECT to anywhere, for whoever shows it a ticket: under the application's name.
    pub fn start_proxy(kdc: &Kdc, folder: &Path) -> Result<Apache> {
        Apache::start_by(Command::new(PROGRAM), kdc, folder, forward)
    }

    /// The same, on a host whose clock is off by `minutes`.
    pub fn start_with_clock(kdc: &Kdc, folder: &Path, prepared: &Path, minutes: i32) -> Result<Apache> {
        let mut command = Command::new(PROGRAM);
        command.env("LD_PRELOAD", super::other_clock(prepared)).env("FAKETIME", format!("{minutes:+}m"));
        Apache::start_by(command, kdc, folder, text)
    }

    fn start_by(
        mut command: Command,
        kdc: &Kdc,
        folder: &Path,
        text: fn(&Path, SocketAddr) -> String,
    ) -> Result<Apache> {
        let folder = folder.join("apache");
        let address = free_address(Ipv4Addr::LOCALHOST)?;
        std::fs::create_dir_all(folder.join("www"))?;
        // Its workers run as another user.
        for path in [&folder, &folder.join("www")] {
            std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        }
        let keytab = folder.join("app.keytab");
        std::fs::copy(kdc.app_keytab(), &keytab)?;
        std::fs::set_permissions(&keytab, std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        std::fs::write(folder.join("www/index.shtml"), "REMOTE_USER=<!--#echo var=\"REMOTE_USER\" -->\n")?;
        let configuration = folder.join("httpd.conf");
        std::fs::write(&configuration, text(&folder, address))?;
        command.arg("-f").arg(&configuration).arg("-DFOREGROUND").env("KRB5_CONFIG", kdc.client_configuration());
        let mut process = Process::spawn("apache2", command, &folder.join("log"))?;
        answers(address, &mut process)?;
        Ok(Apache { process, address })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn process(&self) -> &Process {
        &self.process
    }
}

const PROGRAM: &str = "/usr/sbin/apache2";
const MODULES: &str = "/usr/lib/apache2/modules";

/// What is the same for both: modules, and where it listens.
fn server(folder: &Path, address: SocketAddr, modules: &[&str]) -> String {
    let folder = folder.display();
    let usual = ["mpm_event", "authn_core", "authz_core", "authz_user", "auth_gssapi"];
    let load: String =
        usual.iter().chain(modules).map(|name| format!("LoadModule {name}_module {MODULES}/mod_{name}.so\n")).collect();
    let user = if nix::unistd::geteuid().is_root() { "User www-data\nGroup www-data\n" } else { "" };
    format!(
        "{load}{user}ServerRoot {folder}
PidFile {folder}/pid
DefaultRuntimeDir {folder}
Mutex file:{folder}
Listen {address}
ServerName app.example.test
StartServers 1
ServerLimit 1
ThreadsPerChild 32
MaxRequestWorkers 32
ErrorLog {folder}/error.log
"
    )
}

fn text(folder: &Path, address: SocketAddr) -> String {
    let server = server(folder, address, &["dir", "include", "mime"]);
    let folder = folder.display();
    format!(
        "{server}TypesConfig /dev/null
DocumentRoot {folder}/www
DirectoryIndex index.shtml
AddType text/html .shtml
AddOutputFilter INCLUDES .shtml
<Directory {folder}/www>
  Options +Includes
  AuthType GSSAPI
  AuthName app
  GssapiCredStore keytab:{folder}/app.keytab
  GssapiAllowedMech krb5
  GssapiLocalName On
  Require valid-user
</Directory>
"
    )
}

fn forward(folder: &Path, address: SocketAddr) -> String {
    let server = server(folder, address, &["proxy", "proxy_connect"]);
    let folder = folder.display();
    format!(
        "{server}ProxyRequests On
AllowCONNECT 1-65535
<Proxy \"*\">
  AuthType GSSAPI
  AuthName proxy
  GssapiCredStore keytab:{folder}/app.keytab
  GssapiAllowedMech krb5
  Require valid-user
</Proxy>
"
    )
}
