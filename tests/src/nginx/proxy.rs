//! nginx as a plain reverse proxy, told to change as little as it can.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use super::{Nginx, program};
use crate::certificate::Certificate;
use crate::process::Process;
use crate::{within, world};

impl Nginx {
    /// Passes everything on to `backend`, over TLS from clients and without to it.
    pub fn start_proxy(folder: &Path, leaf: &Certificate, backend: SocketAddr) -> Result<Nginx> {
        let folder = folder.join("nginx-proxy");
        std::fs::create_dir_all(&folder)?;
        std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o777))?;
        let address = world::free_address(Ipv4Addr::LOCALHOST)?;
        let config = folder.join("nginx.conf");
        std::fs::write(&config, configuration(&folder, address, leaf, backend))?;
        let mut command = Command::new(program());
        command.arg("-c").arg(&config).arg("-p").arg(&folder).args(["-e", "stderr"]);
        let mut process = Process::spawn("nginx-proxy", command, &folder.join("log"))?;
        if !within(Duration::from_secs(5), || TcpStream::connect(address).is_ok()) || !process.is_alive() {
            bail!("nginx does not start: {}", process.log_tail());
        }
        Ok(Nginx { process, folder, address })
    }
}

fn configuration(folder: &Path, address: SocketAddr, leaf: &Certificate, backend: SocketAddr) -> String {
    let (certificate, key) = (leaf.certificate.display(), leaf.key.display());
    let folder = folder.display();
    format!(
        "daemon off; worker_processes 1; pid {folder}/pid;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_max_body_size 0; large_client_header_buffers 8 32k;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  underscores_in_headers on; ignore_invalid_headers off;
  server {{
    listen {address} ssl; ssl_certificate {certificate}; ssl_certificate_key {key};
    location / {{
      proxy_pass http://{backend}; proxy_http_version 1.1; proxy_set_header Connection \"\";
      proxy_buffering off; proxy_request_buffering off;
      proxy_buffer_size 32k; proxy_buffers 8 32k; proxy_busy_buffers_size 64k;
      proxy_redirect off; proxy_pass_header Server; proxy_pass_header Date;
    }}
  }}
}}
"
    )
}
