//! A real OpenID client: openid-client on Node, as `tests/peers/oidc/client.mjs` drives it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::openid_provider::FOLDER_VARIABLE;
use crate::world::World;

/// What the client is configured with.
pub struct Setup<'a> {
    pub issuer: &'a str,
    pub client_id: &'a str,
    pub client_secret: Option<&'a str>,
    pub redirect_uri: &'a str,
    pub scope: &'a str,
}

pub struct OpenidClient {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// The program, if it is installed where [`FOLDER_VARIABLE`] says.
#[must_use]
pub fn program() -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os(FOLDER_VARIABLE)?);
    folder.join("node_modules/openid-client").exists().then(|| folder.join("client.mjs"))
}

impl OpenidClient {
    /// Starts it; it reads the provider's metadata at once.
    pub fn start(program: &PathBuf, world: &World, setup: &Setup<'_>) -> Result<OpenidClient> {
        let mut command = Command::new("node");
        command.arg(program).env("NODE_EXTRA_CA_CERTS", world.authority());
        command.env("ISSUER", setup.issuer).env("CLIENT_ID", setup.client_id).env("SCOPE", setup.scope);
        command.env("REDIRECT_URI", setup.redirect_uri).env("RELAY", world.relay_address.to_string());
        command.envs(setup.client_secret.map(|secret| ("CLIENT_SECRET", secret)));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("node")?;
        let (input, output) = child.stdin.take().zip(child.stdout.take()).context("pipes")?;
        let mut client = OpenidClient { child, input, output: BufReader::new(output) };
        client.answer()?;
        Ok(client)
    }

    /// What a command comes to; the error: what the library says.
    pub fn tell(&mut self, command: &str) -> Result<Value> {
        writeln!(self.input, "{command}")?;
        self.answer()
    }

    fn answer(&mut self) -> Result<Value> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            bail!("the client has ended: its error stands above");
        }
        let mut answer: Value = serde_json::from_str(&line)?;
        match answer.get("error") {
            Some(error) => bail!("{error} {}", answer["code"]),
            None => Ok(answer["done"].take()),
        }
    }
}

impl Drop for OpenidClient {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
