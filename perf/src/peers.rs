//! The peer and the origin: HAProxy as a TLS proxy, nginx with a 100-byte answer, one thread each.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};
use postern_tests::certificate::Certificate;
use postern_tests::process::Process;
use postern_tests::{within, world};

/// nginx, one worker, 100 bytes.
pub fn origin(folder: &Path) -> Result<(Process, SocketAddr)> {
    let address = world::free_address(Ipv4Addr::LOCALHOST)?;
    let (folder, answer) = (folder.display(), "x".repeat(99));
    let text = format!(
        "worker_processes 1; pid {folder}/origin.pid; daemon off;
events {{ worker_connections 19000; multi_accept on; }}
http {{
  access_log off; keepalive_timeout 3600s; keepalive_requests 1000000000; server_tokens off; default_type text/plain;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{ listen {address} backlog=16384; location / {{ return 200 \"{answer}\\n\"; }} }}
}}
"
    );
    start("origin", "/usr/sbin/nginx", &text, address, Path::new(&folder.to_string()), &["-e", "stderr", "-c"])
}

/// HAProxy, one thread, TLS towards clients, plain towards the origin.
pub fn haproxy(folder: &Path, leaf: &Certificate, origin: SocketAddr) -> Result<(Process, SocketAddr)> {
    let address = world::free_address(Ipv4Addr::LOCALHOST)?;
    let both = folder.join("both.pem");
    let pem = std::fs::read_to_string(&leaf.certificate)? + &std::fs::read_to_string(&leaf.key)?;
    world::write_secret(&both, &pem)?;
    let text = format!(
        "global
  nbthread 1
  maxconn 9000
  ssl-default-bind-options ssl-min-ver TLSv1.3
  tune.ssl.cachesize 20000
defaults
  mode http
  timeout connect 5s
  timeout client 3600s
  timeout server 3600s
  timeout http-keep-alive 3600s
  http-reuse always
  option forwardfor
frontend f
  bind {address} backlog 16384 ssl crt {} alpn h2,http/1.1
  default_backend b
backend b
  server s {origin} pool-max-conn -1
",
        both.display()
    );
    start("haproxy", "/usr/sbin/haproxy", &text, address, folder, &["-db", "-f"])
}

fn start(
    name: &str,
    program: &str,
    text: &str,
    address: SocketAddr,
    folder: &Path,
    arguments: &[&str],
) -> Result<(Process, SocketAddr)> {
    let file = folder.join(format!("{name}.conf"));
    std::fs::write(&file, text)?;
    let mut command = Command::new(program);
    command.args(arguments).arg(&file);
    let process = Process::spawn(name, command, &folder.join(format!("{name}.log")))?;
    if !within(Duration::from_secs(5), || TcpStream::connect(address).is_ok()) {
        bail!("{name} does not start: {}", process.log_tail());
    }
    Ok((process, address))
}
