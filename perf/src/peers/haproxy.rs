//! HAProxy, one thread: TLS towards clients, plain HTTP/1.1 towards whatever is behind.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::Result;
use postern_tests::process::Process;
use postern_tests::world;

use super::{Kind, Peer, Setting, find, free_address, launch};

/// `behind` holds the processes that it forwards to.
pub(super) fn start(kind: Kind, setting: &Setting<'_>, target: SocketAddr, behind: Vec<Process>) -> Result<Peer> {
    let address = free_address()?;
    let both = setting.folder.join("both.pem");
    let pem = std::fs::read_to_string(&setting.leaf.certificate)? + &std::fs::read_to_string(&setting.leaf.key)?;
    world::write_secret(&both, &pem)?;
    let file = setting.folder.join(format!("haproxy-{}.cfg", address.port()));
    std::fs::write(&file, text(address, &both.display().to_string(), target))?;
    let mut command = Command::new(find("haproxy")?);
    command.args(["-db", "-f"]).arg(&file);
    let mut processes = vec![launch(setting.folder, "haproxy", command, address)?];
    processes.extend(behind);
    Ok(Peer { kind, address, processes })
}

fn text(address: SocketAddr, both: &str, target: SocketAddr) -> String {
    format!(
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
  bind {address} backlog 16384 ssl crt {both} alpn h2,http/1.1
  default_backend b
backend b
  server s {target} pool-max-conn -1
"
    )
}
