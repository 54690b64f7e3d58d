//! `postern access login`, `curl`, `token`, `logout` and `device`: a user's own access to applications, by the device flow. It needs no admin
//! socket, and whoever runs it is no operator.

mod device;
mod kept;
mod login;
mod provider;
mod words;

use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use nix::sys::memfd::{MFdFlags, memfd_create};
use postern_service::failure::Failure;
use url::Url;
use zeroize::Zeroizing;

use crate::args::{CurlArgs, LoginArgs};
use crate::https::Https;
use crate::output::print;
pub(super) use device::enrol;
use kept::{Kept, Login};
use provider::Tokens;

pub(super) fn login(args: &LoginArgs) -> Result<()> {
    let LoginArgs { url, client, reach } = args;
    let url = address(url)?;
    // Before anybody goes to a browser: what cannot be kept need not be asked for.
    drop(Kept::open()?);
    let login = login::login(&url, client, reach)?;
    let app = login.app.clone();
    Kept::open()?.put(login)?;
    eprintln!("signed in to {app}; try: postern access curl {app}");
    Ok(())
}

/// Prints an access token, and nothing else.
pub(super) fn token(url: &str) -> Result<()> {
    let url = address(url)?;
    let login = fresh(&url)?;
    let line = Zeroizing::new(format!("{}\n", login.access_token.expose()));
    print(&line)
}

/// Runs curl with a token, for this one address.
pub(super) fn curl(args: &CurlArgs) -> Result<()> {
    let url = address(&args.url)?;
    words::check(&args.curl)?;
    let login = fresh(&url)?;
    // Not among the arguments: everybody on this host reads those. The descriptor is inherited.
    let mut header = File::from(memfd_create(c"postern-access", MFdFlags::empty()).context("memory for the token")?);
    let line = Zeroizing::new(format!("Authorization: Bearer {}\n", login.access_token.expose()));
    header.write_all(line.as_bytes()).context("memory for the token")?;
    let mut curl = Command::new("curl");
    // First of all: no file of settings is read. And an address is one address, whatever is in it.
    curl.args(["-q", "--globoff", "--proto", "=https", "--header"])
        .arg(format!("@/proc/self/fd/{}", header.as_raw_fd()));
    if let Some(ca) = &login.ca {
        curl.arg("--cacert").arg(ca);
    }
    if let Some(address) = login.connect_to {
        curl.arg("--connect-to").arg(format!("::{address}"));
    }
    curl.args(&args.curl).arg("--url").arg(url.as_str());
    let error = curl.exec();
    Err(Failure::new(format!("cannot run curl: {error}")).cure("install curl, or use: postern access token URL").into())
}

/// Gives the refresh token back and forgets it.
pub(super) fn logout(url: &str) -> Result<()> {
    let url = address(url)?;
    let mut kept = Kept::open()?;
    let login = kept.of(&url)?.clone();
    let https = Https::new(login.ca.as_deref(), login.connect_to)?;
    // First: what could not be given back is still there to be given back.
    provider::revoke(&https, &login)?;
    kept.remove(&login.app)?;
    eprintln!("signed out of {}", login.app);
    Ok(())
}

/// The login for an address, with an access token that is good for a while.
fn fresh(url: &Url) -> Result<Login> {
    // Locked until the new refresh token is written: each is good once, and two who used one would both lose it.
    let mut kept = Kept::open()?;
    let login = kept.of(url)?.clone();
    if login.expires_unix > now_unix() + FRESH_S {
        return Ok(login);
    }
    let https = Https::new(login.ca.as_deref(), login.connect_to)?;
    let tokens = provider::refresh(&https, &login)?;
    let login = login.with(tokens, now_unix());
    kept.put(login.clone())?;
    Ok(login)
}

impl Login {
    fn with(self, tokens: Tokens, now_unix: u64) -> Self {
        let Tokens { access_token, refresh_token, expires_in } = tokens;
        Self { access_token, refresh_token, expires_unix: now_unix.saturating_add(expires_in), ..self }
    }
}

fn address(text: &str) -> Result<Url> {
    let url = Url::parse(text).ok().filter(|url| url.scheme() == "https" && url.has_host());
    let url = url.filter(|url| url.username().is_empty() && url.password().is_none());
    Ok(url.ok_or_else(|| Failure::usage(format!("{text:?} is no address such as https://wiki.example.com/")))?)
}

fn now_unix() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

/// A token that ends sooner is replaced first.
const FRESH_S: u64 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_https() {
        assert!(address("https://wiki.example.com/a?b").is_ok());
        for wrong in ["http://wiki.example.com/", "wiki.example.com", "https://a:b@wiki.example.com/", "https://", ""] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }
}
