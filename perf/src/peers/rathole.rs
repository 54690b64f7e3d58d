//! rathole's server and client with TLS between them. Its settings ask for TCP_NODELAY, but 0.5.0 over TLS does not set it:
//! 64 KiB answers stall for 44 ms each, until the receiver's delayed acknowledgement. It listens at an address where
//! the kernel acknowledges at once, since beating a stall would prove nothing.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context, Result, bail};
use postern_tests::process::Process;
use postern_tests::world;

use super::{Setting, launch};
use crate::chain::HOST;
use crate::delay;
use crate::lab::LOAD_CORE;
use crate::machine::PROMPT;

/// The password of a file that only this run reads; the format wants one.
const PASSWORD: &str = "perf";

/// Its processes, what dials first, and the address whose bytes come out at the origin.
pub(super) fn start(setting: &Setting<'_>) -> Result<(Vec<Process>, SocketAddr)> {
    let program = setting.rathole.context("rathole is not built: `cargo xtask perf --peers` builds it")?;
    let identity = identity(setting)?;
    let (tunnel, entrance) = (world::free_address(PROMPT)?, world::free_address(PROMPT)?);
    let dialled = match setting.round_trip {
        None => tunnel,
        Some(round_trip) => delay::start(LOAD_CORE, tunnel, round_trip)?,
    };
    let folder = setting.folder;
    let (server, client) = (folder.join("rathole-server.toml"), folder.join("rathole-client.toml"));
    std::fs::write(&server, server_text(tunnel, entrance, &identity))?;
    std::fs::write(&client, client_text(dialled, setting))?;
    let command = |role: &str, file: &std::path::Path| {
        let mut command = Command::new(program);
        command.arg(role).arg(file).env("RUST_LOG", "warn");
        command
    };
    let server = launch(folder, "rathole-server", command("--server", &server), tunnel)?;
    // The server opens the entrance once a client offers the service.
    let client = launch(folder, "rathole-client", command("--client", &client), entrance)?;
    Ok((vec![client, server], entrance))
}

fn identity(setting: &Setting<'_>) -> Result<String> {
    let file = setting.folder.join("id.pfx");
    let mut openssl = Command::new("openssl");
    openssl.args(["pkcs12", "-export", "-passout", &format!("pass:{PASSWORD}")]);
    openssl.arg("-in").arg(&setting.leaf.certificate).arg("-inkey").arg(&setting.leaf.key).arg("-out").arg(&file);
    let output = openssl.output().context("openssl")?;
    if !output.status.success() {
        bail!("openssl pkcs12: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(file.display().to_string())
}

fn server_text(tunnel: SocketAddr, entrance: SocketAddr, identity: &str) -> String {
    format!(
        "[server]
bind_addr = \"{tunnel}\"
default_token = \"perf\"
[server.transport]
type = \"tls\"
[server.transport.tcp]
nodelay = true
[server.transport.tls]
pkcs12 = \"{identity}\"
pkcs12_password = \"{PASSWORD}\"
[server.services.web]
bind_addr = \"{entrance}\"
nodelay = true
"
    )
}

fn client_text(dialled: SocketAddr, setting: &Setting<'_>) -> String {
    format!(
        "[client]
remote_addr = \"{dialled}\"
default_token = \"perf\"
[client.transport]
type = \"tls\"
[client.transport.tcp]
nodelay = true
[client.transport.tls]
trusted_root = \"{}\"
hostname = \"{HOST}\"
[client.services.web]
local_addr = \"{}\"
nodelay = true
",
        setting.leaf.certificate.display(),
        setting.origin
    )
}
