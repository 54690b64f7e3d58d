//! A person with a browser, as far as signing in goes: follows redirects, keeps cookies by host, fills the form in. What only
//! a real browser can show is tested in one.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};

use crate::client::{Answer, Client};

/// More redirects than signing in takes.
const REDIRECTS_MAX: usize = 12;

/// What a browser says of itself when somebody opens a page.
pub const OPENS_A_PAGE: [(&str, &str); 2] = [("Accept", "text/html"), ("Sec-Fetch-Mode", "navigate")];

/// Someone with cookies.
#[derive(Clone)]
pub struct Person {
    client: Client,
    cookies: BTreeMap<String, BTreeMap<String, String>>,
    /// Every URL that was opened, in order.
    pub went: Vec<String>,
}

/// A page, and where it is.
#[derive(Debug)]
pub struct Page {
    pub url: String,
    pub answer: Answer,
}

impl Person {
    /// Nobody yet. Whatever `client` reaches, this person does.
    pub fn new(client: &Client) -> Person {
        Person { client: client.clone(), cookies: BTreeMap::new(), went: Vec::new() }
    }

    /// The same person, who reaches it by another client from now on.
    pub fn with(self, client: &Client) -> Person {
        Person { client: client.clone(), ..self }
    }

    /// Opens a URL and goes where it leads.
    pub fn open(&mut self, url: &str) -> Result<Page> {
        self.follow("GET", url.to_owned(), &[], String::new())
    }

    /// Opens a URL and goes nowhere else.
    pub fn step(&mut self, method: &str, url: &str, fields: &[(&str, &str)], body: &str) -> Result<Answer> {
        let (host, path) = parts(url)?;
        let mut all = OPENS_A_PAGE.to_vec();
        let cookies = self.cookie(host);
        if !cookies.is_empty() {
            all.push(("Cookie", &cookies));
        }
        all.extend_from_slice(fields);
        let answer = self.client.for_host(host).connect()?.request(method, path, &all, body.as_bytes())?;
        self.went.push(url.to_owned());
        let host = host.to_owned();
        self.keep(&host, &answer);
        Ok(answer)
    }

    /// Sends a form of a page, as that page's host sees it.
    pub fn submit(&mut self, url: &str, fields: &[(&str, &str)]) -> Result<Page> {
        let (host, _) = parts(url)?;
        let origin = format!("https://{host}");
        let head = [("Origin", &*origin), ("Content-Type", "application/x-www-form-urlencoded")];
        let form: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
        self.follow("POST", url.to_owned(), &head, form.join("&"))
    }

    /// Opens an application's URL and signs in with the form that comes.
    pub fn sign_in(&mut self, url: &str, login: &str, password: &str, keep: bool) -> Result<Page> {
        let page = self.open(url)?;
        self.give_password(&page, login, password, keep)
    }

    /// Fills in the form of a page.
    pub fn give_password(&mut self, page: &Page, login: &str, password: &str, keep: bool) -> Result<Page> {
        let flow = hidden(&page.answer.text(), "flow").with_context(|| format!("no form: {page:?}"))?;
        let mut fields = vec![("flow", &*flow), ("login", login), ("password", password)];
        if keep {
            fields.push(("keep", "on"));
        }
        let (host, _) = parts(&page.url)?;
        self.submit(&format!("https://{host}/sign-in"), &fields)
    }

    /// Answers the page that asks whether a client may have what it asks for.
    pub fn answer_consent(&mut self, page: &Page, allow: bool) -> Result<Page> {
        let consent = hidden(&page.answer.text(), "consent").with_context(|| format!("no question: {page:?}"))?;
        let (host, _) = parts(&page.url)?;
        let answer = if allow { "allow" } else { "refuse" };
        self.submit(&format!("https://{host}/oauth/consent"), &[("consent", &consent), ("answer", answer)])
    }

    /// Answers the page that shows terms of use.
    pub fn answer_terms(&mut self, page: &Page, accept: bool) -> Result<Page> {
        let text = page.answer.text();
        let flow = hidden(&text, "flow").with_context(|| format!("no terms: {page:?}"))?;
        let (host, _) = parts(&page.url)?;
        let answer = if accept { "terms-accept" } else { "terms-decline" };
        let mut fields = vec![("flow", flow), ("answer", answer.to_owned())];
        // Which terms they are.
        for name in ["name", "version"] {
            fields.extend(hidden(&text, name).map(|value| (name, value)));
        }
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.submit(&format!("https://{host}/sign-in/factor"), &fields)
    }

    /// The value of `Cookie` for a host.
    pub fn cookie(&self, host: &str) -> String {
        let own = self.cookies.get(host).into_iter().flatten();
        own.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    /// Closes the browser and opens it again: what is kept is not known here, so that all is lost but cookies with an age.
    pub fn forget(&mut self, host: &str) {
        self.cookies.remove(host);
    }

    /// Goes on with the cookies of another.
    pub fn take_cookies_of(&mut self, other: &Person, host: &str) {
        self.cookies.insert(host.to_owned(), other.cookies.get(host).cloned().unwrap_or_default());
    }

    fn follow(&mut self, method: &str, mut url: String, fields: &[(&str, &str)], body: String) -> Result<Page> {
        let mut answer = self.step(method, &url, fields, &body)?;
        for _ in 0..REDIRECTS_MAX {
            let Some(to) = leads_to(&answer) else { return Ok(Page { url, answer }) };
            url = if to.starts_with('/') { format!("https://{}{to}", parts(&url)?.0) } else { to };
            answer = self.step("GET", &url, &[], "")?;
        }
        bail!("redirected without end: {:?}", self.went)
    }

    fn keep(&mut self, host: &str, answer: &Answer) {
        let jar = self.cookies.entry(host.to_owned()).or_default();
        for (_, set) in answer.headers.iter().filter(|(name, _)| name == "set-cookie") {
            let (pair, attributes) = set.split_once(';').unwrap_or((set, ""));
            let Some((name, value)) = pair.split_once('=') else { continue };
            if attributes.split(';').any(|attribute| attribute.trim() == "Max-Age=0") {
                jar.remove(name);
            } else {
                jar.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

/// Where an answer leads by itself: a redirect, or a page that goes on at once.
#[must_use]
pub fn leads_to(answer: &Answer) -> Option<String> {
    if let Some(to) = answer.header("location").filter(|_| (300..400).contains(&answer.status)) {
        return Some(to.to_owned());
    }
    let text = answer.text();
    let after = text.split_once("<meta http-equiv=\"refresh\" content=\"0;url=")?.1;
    Some(after.split_once('"')?.0.replace("&amp;", "&"))
}

/// Host with port, and path with query.
fn parts(url: &str) -> Result<(&str, &str)> {
    let rest = url.strip_prefix("https://").with_context(|| format!("not https: {url}"))?;
    let at = rest.find('/').with_context(|| format!("no path: {url}"))?;
    Ok(rest.split_at(at))
}

/// The value of a hidden field.
fn hidden(page: &str, name: &str) -> Option<String> {
    let after = page.split_once(&format!("name=\"{name}\" value=\""))?.1;
    Some(after.split_once('"')?.0.to_owned())
}

fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}
