//! The look from outside: this command goes to a relay as a user's browser does and asks for the application, without credentials. In
//! order: the name, the way, the certificate, what answers (passthrough), what is asked before (pre-authentication), and then what
//! only connectors and control know of single sign-on and policies.

mod judged;

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Result;
use postern_model::admin::{AppView, Initialised, List, RelayView, path};
use postern_model::app_url::ExternalUrl;
use postern_model::check::{AppChecked, CheckApp, CheckStep, StepResult};
use postern_model::config::CertificateOrigin;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::Outside;
use crate::args::RelayAddress;
use crate::client::{Client, segment};
use crate::look::{self, Head, Timed};

/// The application as users open it.
struct Target {
    view: AppView,
    external: ExternalUrl,
    /// What is asked for: of a wildcard some name below it.
    host: String,
    roots: RootCertStore,
}

/// One way to it.
struct Way {
    by: String,
    /// Where the relay is; nothing where only DNS says.
    relay: Option<RelayAddress>,
}

/// What a step saw.
struct Seen {
    result: StepResult,
    seen: String,
    cure: String,
}

/// By each relay in turn. What cannot be looked at is a step that failed: connectors have seen the application already.
pub(super) fn look(
    client: &Client,
    app: &str,
    asked: &CheckApp,
    given: &[RelayAddress],
    checked: &AppChecked,
) -> Vec<Outside> {
    looked(client, app, asked, given, checked).unwrap_or_else(|error| vec![not_begun(&error)])
}

/// Control does not say where the relays are, or what it says cannot be read.
fn not_begun(error: &anyhow::Error) -> Outside {
    let Seen { result, seen, cure } = Seen::fail(
        &format!("nothing is looked at from outside: {error:#}"),
        "--relay HOST:PORT names the relay; --no-outside leaves this look out",
    );
    Outside { by: "this host".into(), steps: vec![CheckStep::new("relays", result, 0, &seen, &cure)] }
}

fn looked(
    client: &Client,
    app: &str,
    asked: &CheckApp,
    given: &[RelayAddress],
    checked: &AppChecked,
) -> Result<Vec<Outside>> {
    let view: AppView = client.get(&path::app(&client.tenant(), &segment(app)))?;
    let external = ExternalUrl::parse(&view.external_url)?;
    let host = if external.wildcard { format!("postern-check.{}", external.host) } else { external.host.to_string() };
    let roots = roots(client, view.certificate.origin);
    let target = Target { view, external, host, roots };
    let after = judged::known_inside(&target.view, asked, checked);
    let by = |way: Way| {
        let mut steps = target.steps(way.relay.as_ref());
        steps.extend(after.iter().cloned());
        Outside { by: way.by, steps }
    };
    Ok(ways(client, given, target.external.port)?.into_iter().map(by).collect())
}

/// Relays that were named, else those that control dials, at the port where users come; where there is none, DNS has to know.
fn ways(client: &Client, given: &[RelayAddress], port: u16) -> Result<Vec<Way>> {
    let named = given.iter().map(|relay| Way { by: format!("relay at {relay}"), relay: Some(relay.clone()) });
    let mut ways: Vec<Way> = named.take(RELAYS_MAX).collect();
    if ways.is_empty() {
        let list: List<RelayView> = client.get(path::RELAYS)?;
        ways = list.items.iter().filter_map(|relay| dialled(relay, port)).take(RELAYS_MAX).collect();
    }
    if ways.is_empty() {
        ways.push(Way { by: "where its name leads".into(), relay: None });
    }
    Ok(ways)
}

fn dialled(relay: &RelayView, port: u16) -> Option<Way> {
    let RelayAddress { host, .. } = relay.address.as_deref()?.parse::<RelayAddress>().ok()?;
    Some(Way { by: format!("relay {}", relay.name), relay: Some(RelayAddress { host, port }) })
}

/// Authorities of this host, and Postern's own where it issued the certificate and its file can be read.
fn roots(client: &Client, origin: CertificateOrigin) -> RootCertStore {
    let mut roots = look::system_roots();
    if origin == CertificateOrigin::Issued {
        let made: Result<Initialised> = client.post(path::INIT, &serde_json::json!({}));
        let own = made.ok().and_then(|made| CertificateDer::from_pem_file(made.web_ca_file).ok());
        roots.add_parsable_certificates(own);
    }
    roots
}

impl Target {
    fn steps(&self, relay: Option<&RelayAddress>) -> Vec<CheckStep> {
        let mut steps = Vec::new();
        let Some(addresses) = take(&mut steps, "name", || self.name(relay)) else { return steps };
        let Some(mut stream) = take(&mut steps, "connect", || connect(&addresses)) else { return steps };
        let head = if self.external.tls {
            let Some(mut secured) = take(&mut steps, "certificate", || self.certificate(stream)) else { return steps };
            take(&mut steps, "passthrough", || self.passthrough(&mut secured.stream))
        } else {
            take(&mut steps, "passthrough", || self.passthrough(&mut stream))
        };
        if head.is_some() {
            take(&mut steps, "preauth", || (self.preauth(&addresses), None::<()>));
        }
        steps
    }

    /// Where users' resolvers lead, as far as this host's does; relays are gone to by their own addresses.
    fn name(&self, relay: Option<&RelayAddress>) -> (Seen, Option<Vec<SocketAddr>>) {
        let led = look::addresses_within(&self.host, self.external.port, PATIENCE);
        let own = relay.map(|relay| look::addresses_within(&relay.host, relay.port, PATIENCE));
        let seen = judged::name(&self.host, &led, own.as_ref());
        (seen, own.unwrap_or(led).ok())
    }

    fn certificate(&self, stream: Timed) -> (Seen, Option<look::Secured>) {
        let Some(name) = look::server_name(&self.host) else {
            return (
                Seen::fail(&format!("{} cannot be asked for in TLS", self.host), "look at the external URL"),
                None,
            );
        };
        match look::secure(stream, &name, &[HTTP1]) {
            Ok(secured) => {
                let trust = look::verify(&secured.chain, &name, self.roots.clone());
                let seen = judged::certificate(secured.leaf().as_ref(), &trust, self.view.certificate.origin);
                (seen, Some(secured))
            }
            Err(why) => {
                let cure =
                    "look whether the relay has this application yet (postern ready), and what else listens there";
                (Seen::fail(&format!("no TLS: {why}"), cure), None)
            }
        }
    }

    fn passthrough(&self, stream: &mut (impl Read + Write)) -> (Seen, Option<Head>) {
        match self.ask(stream, &[("accept", "text/html, */*;q=0.5"), ("sec-fetch-mode", "cors")]) {
            Ok(head) => (judged::passthrough(self.view.preauth, &head), Some(head)),
            Err(why) => (unanswered(&why), None),
        }
    }

    /// As a browser that opens the page; a connection of its own.
    fn preauth(&self, addresses: &[SocketAddr]) -> Seen {
        match self.navigate(addresses) {
            Ok(head) => judged::preauth(self.view.preauth, &head),
            Err(why) => unanswered(&why),
        }
    }

    fn navigate(&self, addresses: &[SocketAddr]) -> Result<Head, String> {
        let (_, mut stream) = look::connect(addresses, PATIENCE)?;
        if !self.external.tls {
            return self.ask(&mut stream, &NAVIGATION);
        }
        let name = look::server_name(&self.host).ok_or("it has no name for TLS")?;
        let mut secured = look::secure(stream, &name, &[HTTP1])?;
        self.ask(&mut secured.stream, &NAVIGATION)
    }

    fn ask(&self, stream: &mut (impl Read + Write), fields: &[(&str, &str)]) -> Result<Head, String> {
        let usual = if self.external.tls { 443 } else { 80 };
        let port = if self.external.port == usual { String::new() } else { format!(":{}", self.external.port) };
        look::get(stream, &format!("{}{port}", self.host), &format!("{}/", self.external.path), fields)
    }
}

fn connect(addresses: &[SocketAddr]) -> (Seen, Option<Timed>) {
    match look::connect(addresses, PATIENCE) {
        Ok((address, stream)) => (Seen::ok(&format!("connected to {address}")), Some(stream)),
        Err(why) => {
            let cure = "look whether the relay runs, and at firewalls between this host and it; --no-outside leaves this look out";
            (Seen::fail(&why, cure), None)
        }
    }
}

fn unanswered(why: &str) -> Seen {
    Seen::fail(&format!("the relay gives no answer: {why}"), "look at the relay's log: journalctl -u postern-relay")
}

fn take<T>(steps: &mut Vec<CheckStep>, step: &str, look: impl FnOnce() -> (Seen, Option<T>)) -> Option<T> {
    let begun = Instant::now();
    let (Seen { result, seen, cure }, value) = look();
    let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    steps.push(CheckStep::new(step, result, ms, &seen, &cure));
    value
}

impl Seen {
    fn ok(seen: &str) -> Self {
        Self { result: StepResult::Ok, seen: seen.into(), cure: String::new() }
    }

    fn warn(seen: &str, cure: &str) -> Self {
        Self { result: StepResult::Warn, seen: seen.into(), cure: cure.into() }
    }

    fn fail(seen: &str, cure: &str) -> Self {
        Self { result: StepResult::Fail, seen: seen.into(), cure: cure.into() }
    }

    fn skipped(seen: &str) -> Self {
        Self { result: StepResult::Skipped, seen: seen.into(), cure: String::new() }
    }
}

const NAVIGATION: [(&str, &str); 4] = [
    ("accept", "text/html"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-dest", "document"),
    ("sec-fetch-site", "none"),
];
const HTTP1: &[u8] = b"http/1.1";
/// One connection with its answer, and one look-up.
const PATIENCE: Duration = Duration::from_secs(5);
/// Relays that are gone to.
const RELAYS_MAX: usize = 4;
