//! The demonstration's second application asks who its users are: a place to sign in, a user, and a sign-in as a browser would
//! make it.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::shell;

/// Names under `localhost` resolve to loopback in every browser.
pub(super) const APP_HOST: &str = "staff.localhost";
pub(super) const IDENTITY_HOST: &str = "login.localhost";
pub(super) const USER: &str = "anna";

/// A password that nobody guesses, in hex.
pub(super) fn password() -> Result<String> {
    let mut bytes = [0; 8];
    File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut bytes)).context("/dev/urandom")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Opens the application, fills the form that comes instead, and gives what the application answers in the end. `curl`: what
/// every request needs.
pub(super) fn sign_in(folder: &Path, curl: &[String], port: u16, password: &str) -> Result<String> {
    let jar = folder.join("cookies");
    let request = |more: &[&str]| {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--fail", "--location", "--max-time", "20"]);
        command.args(["--header", "Accept: text/html", "--cookie-jar"]).arg(&jar).arg("--cookie").arg(&jar);
        shell::output(command.args(curl).args(more))
    };
    let page = request(&[&format!("https://{APP_HOST}:{port}/")])?;
    let flow = page.split("name=\"flow\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    let Some(flow) = flow else { bail!("this is no page to sign in at: {page}") };
    let identity = format!("https://{IDENTITY_HOST}:{port}");
    let signed_in = request(&[
        "--header",
        &format!("Origin: {identity}"),
        "--data-urlencode",
        &format!("flow={flow}"),
        "--data-urlencode",
        &format!("login={USER}"),
        "--data-urlencode",
        &format!("password={password}"),
        &format!("{identity}/sign-in"),
    ])?;
    // A page that leads on by itself: curl has to be told where.
    let target =
        signed_in.split("http-equiv=\"refresh\" content=\"0;url=").nth(1).and_then(|rest| rest.split('"').next());
    let Some(target) = target else { bail!("this page does not lead back to the application: {signed_in}") };
    request(&[&target.replace("&amp;", "&")])
}
