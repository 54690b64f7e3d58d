//! A browser as far as signing in needs one, over plain HTTP on loopback: it keeps cookies, follows redirects and posts forms.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

const REDIRECTS_MAX: usize = 20;
const TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Default)]
pub struct UserAgent {
    /// By origin, then by name. Paths are not looked at: what is set last counts.
    cookies: BTreeMap<String, BTreeMap<String, String>>,
}

/// What came of a request.
#[derive(Debug)]
pub struct Page {
    /// From where.
    pub url: String,
    pub status: u16,
    pub location: Option<String>,
    pub body: String,
}

/// Who fills in the form.
#[derive(Clone, Copy)]
pub struct Person<'a> {
    pub login: &'a str,
    pub password: &'a str,
    pub otp: &'a str,
}

pub const ALICE: Person<'static> = Person { login: "alice", password: "alicepw", otp: "" };
pub const ALICE_WITH_OTP: Person<'static> = Person { login: "alice", password: "alicepw", otp: "123456" };
pub const BOB: Person<'static> = Person { login: "bob", password: "bobpw", otp: "" };

impl UserAgent {
    #[must_use]
    pub fn new() -> UserAgent {
        UserAgent::default()
    }

    pub fn get(&mut self, url: &str) -> Result<Page> {
        self.request("GET", url, "")
    }

    pub fn post(&mut self, url: &str, form: &str) -> Result<Page> {
        self.request("POST", url, form)
    }

    /// Follows redirects from `page` until there is a page, or one leads to an address that begins with `until`: that address
    /// then stands in `location`, and is not fetched.
    pub fn follow(&mut self, mut page: Page, until: &str) -> Result<Page> {
        for _ in 0..REDIRECTS_MAX {
            let Some(location) = page.location.clone() else {
                return Ok(page);
            };
            if location.starts_with(until) {
                return Ok(page);
            }
            page = self.get(&location)?;
        }
        bail!("more than {REDIRECTS_MAX} redirects, the last from {}", page.url)
    }

    /// Goes through the provider's pages, filling in its form where there is one. The address that it came back with.
    pub fn sign_in(&mut self, url: &str, until: &str, person: Person<'_>) -> Result<String> {
        let form = format!("login={}&password={}&otp={}", person.login, person.password, person.otp);
        self.answer(url, until, &form)
    }

    /// The same with another button.
    pub fn cancel(&mut self, url: &str, until: &str) -> Result<String> {
        self.answer(url, until, "abort=1")
    }

    fn answer(&mut self, url: &str, until: &str, form: &str) -> Result<String> {
        let first = self.get(url)?;
        let mut page = self.follow(first, until)?;
        if page.location.is_none() && page.status == 200 {
            let posted = self.post(&page.url, form)?;
            page = self.follow(posted, until)?;
        }
        page.location.with_context(|| format!("stuck at {}: {} {}", page.url, page.status, page.body))
    }

    fn request(&mut self, method: &str, url: &str, form: &str) -> Result<Page> {
        let rest = url.strip_prefix("http://").with_context(|| format!("not plain HTTP: {url}"))?;
        let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let mut stream = TcpStream::connect(host.parse::<SocketAddr>().with_context(|| url.to_owned())?)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        let jar = self.cookies.entry(host.to_owned()).or_default();
        let cookies: Vec<_> = jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let slash = if path.starts_with('/') { "" } else { "/" };
        let head = format!(
            "{method} {slash}{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nAccept: text/html\r\nCookie: {}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
            cookies.join("; "),
            form.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(form.as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).with_context(|| url.to_owned())?;
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").with_context(|| format!("no answer: {url}"))?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status")?;
        let mut location = None;
        for (name, value) in head.lines().skip(1).filter_map(|line| line.split_once(": ")) {
            match name.to_ascii_lowercase().as_str() {
                "location" if value.starts_with('/') => location = Some(format!("http://{host}{value}")),
                "location" => location = Some(value.to_owned()),
                "set-cookie" => keep(jar, value),
                _ => {}
            }
        }
        Ok(Page { url: url.to_owned(), status, location, body: body.to_owned() })
    }
}

fn keep(jar: &mut BTreeMap<String, String>, cookie: &str) {
    let pair = cookie.split(';').next().unwrap_or_default();
    match pair.split_once('=') {
        Some((name, "")) => drop(jar.remove(name)),
        Some((name, value)) => drop(jar.insert(name.to_owned(), value.to_owned())),
        None => {}
    }
}
