//! A real nginx as the private application: static files, and uploads stored as files.

mod proxy;

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::certificate::Certificate;
use crate::process::Process;
use crate::{pattern, within, world};

pub struct Nginx {
    process: Process,
    folder: PathBuf,
    address: SocketAddr,
}

impl Nginx {
    /// Serves `folder/nginx/files` over plain HTTP on loopback.
    pub fn start(folder: &Path) -> Result<Nginx> {
        Nginx::start_with(folder, "nginx", None)
    }

    /// The same over TLS, HTTP/2 included.
    pub fn start_http2(folder: &Path, leaf: &Certificate) -> Result<Nginx> {
        Nginx::start_with(folder, "nginx-http2", Some(leaf))
    }

    /// The same over TLS.
    pub fn start_tls(folder: &Path, leaf: &Certificate) -> Result<Nginx> {
        Nginx::start_with(folder, "nginx-tls", Some(leaf))
    }

    /// Over TLS, to those only whom it knows: `users` are lines `NAME:{PLAIN}PASSWORD`. It says whom it saw in `x-user`.
    pub fn start_with_passwords(folder: &Path, leaf: &Certificate, users: &str) -> Result<Nginx> {
        let name = "nginx-passwords";
        std::fs::create_dir_all(folder.join(name))?;
        std::fs::write(folder.join(name).join("users"), users)?;
        Nginx::start_with(folder, name, Some(leaf))
    }

    /// Over plain HTTP at this address, with further directives of its server.
    pub fn start_saying(folder: &Path, name: &str, address: SocketAddr, directives: &str) -> Result<Nginx> {
        Nginx::start_at(folder, name, address, None, directives)
    }

    /// Over TLS, with further directives of its server. They may end it and begin another one, which has the files then.
    pub fn start_tls_saying(folder: &Path, name: &str, leaf: &Certificate, directives: &str) -> Result<Nginx> {
        Nginx::start_tls_at(folder, name, world::free_address(Ipv4Addr::LOCALHOST)?, leaf, directives)
    }

    /// The same at this address.
    pub fn start_tls_at(
        folder: &Path,
        name: &str,
        address: SocketAddr,
        leaf: &Certificate,
        directives: &str,
    ) -> Result<Nginx> {
        Nginx::start_at(folder, name, address, Some(leaf), directives)
    }

    fn start_with(folder: &Path, name: &str, tls: Option<&Certificate>) -> Result<Nginx> {
        Nginx::start_at(folder, name, world::free_address(Ipv4Addr::LOCALHOST)?, tls, "")
    }

    fn start_at(
        folder: &Path,
        name: &str,
        address: SocketAddr,
        tls: Option<&Certificate>,
        directives: &str,
    ) -> Result<Nginx> {
        let folder = folder.join(name);
        std::fs::create_dir_all(folder.join("files"))?;
        // Its workers run as another user, who reads the files and writes the uploads.
        for path in [&folder, &folder.join("files")] {
            std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o777))?;
        }
        for (file, size) in [("small", 100), ("1k", 1024), ("16k", 16 * 1024), ("10m", 10 << 20)] {
            std::fs::write(folder.join("files").join(file), pattern::bytes(size))?;
        }
        let config = folder.join("nginx.conf");
        std::fs::write(&config, configuration(&folder, address, tls, (name, directives)))?;
        let mut command = Command::new(program());
        command.arg("-c").arg(&config).arg("-p").arg(&folder).args(["-e", "stderr"]);
        let mut process = Process::spawn(name, command, &folder.join("log"))?;
        if !within(Duration::from_secs(5), || TcpStream::connect(address).is_ok()) || !process.is_alive() {
            bail!("nginx does not start: {}", process.log_tail());
        }
        Ok(Nginx { process, folder, address })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Where a file that it serves, or was uploaded, lies.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join("files").join(name)
    }
}

fn program() -> &'static str {
    // Not in the path of ordinary users.
    if Path::new("/usr/sbin/nginx").exists() { "/usr/sbin/nginx" } else { "nginx" }
}

fn configuration(
    folder: &Path,
    address: SocketAddr,
    tls: Option<&Certificate>,
    (name, directives): (&str, &str),
) -> String {
    let folder = folder.display();
    let passwords = if name == "nginx-passwords" { "auth_basic closed; auth_basic_user_file users;" } else { "" };
    let http2 = if name == "nginx-http2" { " http2" } else { "" };
    let (ssl, certificates) = match tls {
        Some(leaf) => (
            " ssl",
            format!("ssl_certificate {}; ssl_certificate_key {};", leaf.certificate.display(), leaf.key.display()),
        ),
        None => ("", String::new()),
    };
    format!(
        "daemon off; worker_processes 1; pid {folder}/pid;
events {{ worker_connections 4096; }}
http {{
  access_log off; default_type application/octet-stream;
  client_max_body_size 0; keepalive_requests 1000000; keepalive_timeout 300s;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen {address}{ssl}{http2} backlog=4096; {certificates}
    add_header x-protocol $server_protocol always; add_header x-user $remote_user always; {passwords}
    {directives}
    location / {{ root {folder}/files; dav_methods PUT DELETE; create_full_put_path on; }}
  }}
}}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate;
    use crate::client::Client;

    #[test]
    fn files_go_up_and_down_over_tls() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let made = certificate::self_signed(folder.path(), "x.test").unwrap();
        let nginx = Nginx::start_tls(folder.path(), &made).unwrap();
        let client = Client::new(nginx.address(), "x.test", &made.certificate).unwrap();
        let mut connection = client.connect().unwrap();
        assert_eq!(connection.get("/16k").unwrap().body, pattern::bytes(16 * 1024));
        let up = connection.request("PUT", "/up", &[], &pattern::bytes(100_000)).unwrap();
        assert_eq!(up.status, 201);
        assert_eq!(std::fs::read(nginx.file("up")).unwrap(), pattern::bytes(100_000));
        assert!(client.for_host("y.test").connect().is_err());
    }
}
