//! Somebody who signs in: an application that asks, its user, and their requests once they have a session.

use std::time::Duration;

use anyhow::{Result, bail};
use postern_tests::client::Client;
use postern_tests::person::Person;
use postern_tests::world::{World, write_secret};

use crate::chain::Chain;
use crate::load::Target;
use crate::tls::{self, Protocol};

/// The user that [`create`] makes.
pub(crate) const LOGIN: &str = "anna";
const PASSWORD: &str = "correct horse battery";
/// Half a minute in all; few enough not to be held back as guesses.
const SIGN_IN_ATTEMPTS: usize = 10;
const SIGN_IN_PAUSE: Duration = Duration::from_secs(3);

/// A part of a document: an application that asks who somebody is, without a limit that is in the way.
pub(crate) fn application(world: &World, app: &str, internal: &str) -> String {
    let external = format!("https://{app}.example.test:{}/", world.relay_address.port());
    let published =
        format!("[app.{app}]\nexternal = \"{external}\"\ninternal = \"{internal}\"\npreauth = \"oidc\"\n\n");
    published + &format!("[throttle.\"app/{app}\"]\nrps = 1000000\n\n")
}

/// Applies a document as an operator would.
pub(crate) fn apply(world: &World, document: &str) -> Result<()> {
    let file = world.path("document.toml");
    std::fs::write(&file, document)?;
    world.cli(&["apply", "-f", &file.display().to_string()]).map(drop)
}

/// Makes the user.
pub(crate) fn create(world: &World) -> Result<()> {
    let password = world.path("password");
    write_secret(&password, &format!("{PASSWORD}\n"))?;
    world.cli(&["user", "create", LOGIN, "--password-file", &password.display().to_string()]).map(drop)
}

/// The user, signed in to an application, as whoever asks for it.
pub(crate) fn signed_in(chain: &mut Chain, app: &str) -> Result<Target> {
    let world = chain.world();
    let client: Client = world.client(&format!("{app}.example.test:{}", world.relay_address.port()))?;
    world.wait_published(&client)?;
    // Control may be telling its relays of all that was set up still, and the place to sign in says to try again then.
    let mut attempts = 0;
    let person = loop {
        let mut person = Person::new(&client);
        match person.sign_in(&format!("https://{}/", client.host), LOGIN, PASSWORD, false) {
            Ok(page) if page.answer.status == 200 => break person,
            refused if attempts == SIGN_IN_ATTEMPTS => {
                bail!("{LOGIN} is not let in to {app}: {refused:?}\n{}", world.logs())
            }
            Ok(_) | Err(_) => std::thread::sleep(SIGN_IN_PAUSE),
        }
        attempts += 1;
    };
    let tls = tls::client(&world.authority(), Protocol::Http1, false)?;
    Ok(Target {
        address: world.relay_address,
        name: format!("{app}.example.test"),
        host: client.host.clone(),
        tls: Some(tls),
        cookie: Some(person.cookie(&client.host)),
    })
}
