//! The place to sign in: an identity process that is enrolled and online, published at the world's relay.

use anyhow::Result;

use crate::client::Client;
use crate::process::Process;
use crate::programs;
use crate::world::{START_TIMEOUT, World, write_secret};

pub struct Identity {
    process: Process,
    /// For its pages.
    pub client: Client,
}

impl Identity {
    /// Publishes `https://login.example.test:PORT/` and starts the process that serves it.
    pub fn start(world: &World) -> Result<Identity> {
        let host = format!("login.example.test:{}", world.relay_address.port());
        world.cli(&["identity", "publish", "--external", &format!("https://{host}/")])?;
        let file = world.path("identity-token");
        write_secret(&file, &world.token("postern-identity")?)?;
        let mut command = programs::command("postern-identity");
        command.args(["--relay", &world.relay_address.to_string()]).arg("--token-file").arg(&file);
        command.arg("--state-dir").arg(world.path("identity"));
        let process = Process::spawn("postern-identity", command, &world.path("identity.log"))?;
        let client = world.client(&host)?;
        let answers = |_: &World| client.get("/").is_ok_and(|answer| answer.status == 200);
        world.expect_within(START_TIMEOUT, "the place to sign in answers", answers)?;
        Ok(Identity { process, client })
    }

    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}
