//! nginx, one worker: TLS towards clients, plain HTTP/1.1 with kept connections towards the origin.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};
use postern_tests::within;

use super::{Kind, Peer, Setting, find, free_address, launch};

pub(super) fn start(setting: &Setting<'_>) -> Result<Peer> {
    let address = free_address()?;
    let file = setting.folder.join("nginx.conf");
    std::fs::write(&file, text(setting, address))?;
    let mut command = Command::new(find("nginx")?);
    command.args(["-e", "stderr", "-c"]).arg(&file);
    let process = launch(setting.folder, "nginx", command, address)?;
    // The master listens before it has its worker, whose time is what counts.
    if !within(Duration::from_secs(5), || process.tree().len() > 1) {
        bail!("nginx has no worker: {}", process.log_tail());
    }
    Ok(Peer { kind: Kind::Nginx, address, processes: vec![process] })
}

/// Without `keepalive 512` HTTP/2 costs it half as much again.
fn text(setting: &Setting<'_>, address: SocketAddr) -> String {
    let (folder, origin) = (setting.folder.display(), setting.origin);
    let (certificate, key) = (setting.leaf.certificate.display(), setting.leaf.key.display());
    format!(
        "worker_processes 1; pid {folder}/nginx.pid; daemon off;
events {{ worker_connections 19000; multi_accept on; }}
http {{
  access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; server_tokens off;
  keepalive_timeout 3600s; keepalive_requests 1000000000; http2_max_concurrent_streams 256;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_protocols TLSv1.3;
  ssl_session_cache shared:SSL:20m; ssl_session_timeout 10m; ssl_session_tickets on;
  proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $host;
  proxy_set_header X-Forwarded-For $remote_addr; proxy_max_temp_file_size 0;
  upstream origin {{ server {origin}; keepalive 512; keepalive_requests 1000000000; keepalive_timeout 3600s; }}
  server {{ listen {address} ssl http2 backlog=16384; location / {{ proxy_pass http://origin; }} }}
}}
"
    )
}
