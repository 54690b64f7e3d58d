//! A real OpenID provider, certified: oidc-provider on Node, with two users, as `tests/peers/oidc/provider.mjs` sets it up.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::certificate::Certificate;
use crate::process::Process;
use crate::world;

/// Names a folder with the program and what it needs: `cargo xtask test` as root or in CI makes one and sets this.
pub const FOLDER_VARIABLE: &str = "POSTERN_TEST_OPENID_PROVIDER";

/// How it is set up; the default is a provider as the standard has it, over plain HTTP.
#[derive(Default)]
pub struct Setup<'a> {
    /// What it calls itself; its own address, if nothing is said.
    pub issuer: Option<String>,
    /// The origin of the relying party: it may come back to `/cb` and `/signed-out`, and hears of logouts at
    /// `/backchannel-logout`.
    pub relying_party: Option<String>,
    /// Further addresses that it may send browsers back to.
    pub redirects: Vec<String>,
    /// By how many seconds its clock is ahead; negative: behind.
    pub clock_ahead_s: i64,
    /// All claims stand in the ID token, not only in userinfo.
    pub claims_in_id_token: bool,
    /// It speaks TLS.
    pub tls: Option<&'a Certificate>,
}

pub struct OpenidProvider {
    process: Process,
    program: PathBuf,
    folder: PathBuf,
    address: SocketAddr,
    environment: Vec<(&'static str, String)>,
}

/// The program, if it is installed where [`FOLDER_VARIABLE`] says.
#[must_use]
pub fn program() -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os(FOLDER_VARIABLE)?);
    folder.join("node_modules/oidc-provider").exists().then(|| folder.join("provider.mjs"))
}

impl OpenidProvider {
    /// Starts it on a free port, with keys of its own.
    pub fn start(program: &Path, folder: &Path, setup: &Setup<'_>) -> Result<OpenidProvider> {
        let address = world::free_address(Ipv4Addr::LOCALHOST)?;
        OpenidProvider::start_on(address, program, folder, setup)
    }

    /// The same on a port that was found free before.
    pub fn start_on(address: SocketAddr, program: &Path, folder: &Path, setup: &Setup<'_>) -> Result<OpenidProvider> {
        let folder = folder.join(format!("openid-provider-{}", address.port()));
        std::fs::create_dir_all(&folder)?;
        let mut environment = vec![("CLOCK_AHEAD_S", setup.clock_ahead_s.to_string())];
        environment.extend(setup.issuer.clone().map(|issuer| ("ISSUER", issuer)));
        environment.extend(setup.relying_party.clone().map(|origin| ("RP", origin)));
        if !setup.redirects.is_empty() {
            environment.push(("EXTRA_REDIRECTS", setup.redirects.join(",")));
        }
        if setup.claims_in_id_token {
            environment.push(("CONFORM", "no".into()));
        }
        if let Some(tls) = setup.tls {
            environment.push(("TLS_CERT", tls.certificate.display().to_string()));
            environment.push(("TLS_KEY", tls.key.display().to_string()));
        }
        let process = run(program, &folder, address, &environment)?;
        Ok(OpenidProvider { process, program: program.to_owned(), folder, address, environment })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its issuer, unless another was set up.
    pub fn url(&self) -> String {
        let tls = self.environment.iter().any(|(name, _)| *name == "TLS_CERT");
        format!("{}://{}", if tls { "https" } else { "http" }, self.address)
    }

    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// New keys and nothing of the old ones; who was signed in there is not any more.
    pub fn rotate_keys(&mut self) -> Result<()> {
        self.process.kill();
        std::fs::remove_file(self.folder.join("keys.json"))?;
        self.process = run(&self.program, &self.folder, self.address, &self.environment)?;
        Ok(())
    }
}

fn run(program: &Path, folder: &Path, address: SocketAddr, environment: &[(&'static str, String)]) -> Result<Process> {
    let mut command = Command::new("node");
    command.arg(program).env("PORT", address.port().to_string()).env("KEYS", folder.join("keys.json"));
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    let process = Process::spawn("openid-provider", command, &folder.join("log"))?;
    if !process.logs_within(Duration::from_secs(30), "ready ") {
        bail!("the OpenID provider does not start: {}", process.log_tail());
    }
    Ok(process)
}
