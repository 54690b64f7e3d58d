//! Who a relay is: decided from its connection and its `Hello`, before anything is told to it.

use postern_model::admin::{Pinned, Problem};
use postern_model::config::Relay;
use postern_model::ids::Name;
use postern_model::link::{Hello, PROTOCOL};

use super::farewell::{is_another_now, is_removed};
use crate::authority::RequestedKey;
use crate::control::{Actor, Control};
use crate::relays;
use crate::store::Pin;

/// The other end of a link, as its connection shows it.
pub(crate) enum Peer {
    /// It came to the Unix socket with an allowed uid.
    Unix,
    /// Control dialled it and its key fits the pin, or it has none yet.
    Tls {
        /// Which relay was dialled.
        relay: Relay,
        /// SHA-256 of its TLS key.
        key_sha256: String,
    },
}

/// A relay that may link, and the key to certify.
pub(crate) struct Admitted {
    pub(crate) relay: Relay,
    pub(crate) key: RequestedKey,
}

/// Why a relay may not link, for its operator.
#[derive(Debug)]
pub(crate) struct Denied {
    pub(crate) reason: String,
    /// It is one that was removed: it is to let nobody in by right any more.
    pub(crate) removed: bool,
}

impl Denied {
    pub(crate) fn because(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), removed: false }
    }
}

/// Admits a relay or says why not.
pub(crate) fn admit(control: &Control, peer: &Peer, hello: &Hello) -> Result<Admitted, Denied> {
    if hello.protocol != PROTOCOL {
        let protocol = hello.protocol;
        let reason = format!("link protocol {protocol} is not spoken here, only {PROTOCOL}: use neighbouring versions");
        return Err(Denied::because(reason));
    }
    let key = RequestedKey::parse(&hello.csr_pem)
        .ok_or_else(|| Denied::because("the certificate request is not PEM with a P-256 key and its own signature"))?;
    let relay = match peer {
        Peer::Unix => from_socket(control, hello, &key),
        Peer::Tls { relay, key_sha256 } if is_removed(control, relay) => {
            let removed = !is_another_now(control, relay, key_sha256);
            return Err(Denied { reason: "this relay was removed".into(), removed });
        }
        Peer::Tls { relay, key_sha256 } => from_tls(control, relay, key_sha256, &key),
    };
    relay.map(|relay| Admitted { relay, key }).map_err(|problem| Denied::because(problem.detail))
}

/// A relay that comes to the socket is known by its name; an unknown one becomes known, for its uid is allowed.
fn from_socket(control: &Control, hello: &Hello, key: &RequestedKey) -> Result<Relay, Problem> {
    let name = name_of(&hello.relay_name);
    let pin = Pin { key_sha256: key.sha256.clone(), how: Pinned::Socket };
    let known = relays::find(&control.snapshot(), name.as_str()).ok().cloned();
    let Some(relay) = known else {
        return relays::create(control, &Actor::Relay(name.to_string()), name, None, Some(pin));
    };
    match control.pin(relay.id) {
        Some(held) if held.key_sha256 == pin.key_sha256 => Ok(relay),
        Some(held) if held.how != Pinned::Socket => Err(key_changed(&relay, &held.key_sha256, &pin.key_sha256)),
        held => {
            if held.is_some() {
                tracing::warn!(relay = %relay.name, "the relay has another key than before: was its state folder emptied?");
            }
            relays::pin(control, &relay, pin).map(|()| relay)
        }
    }
}

/// A relay that was dialled must ask for a certificate for the very key that it showed in TLS.
fn from_tls(control: &Control, relay: &Relay, tls_key: &str, key: &RequestedKey) -> Result<Relay, Problem> {
    if key.sha256 != tls_key {
        return Err(key_changed(relay, tls_key, &key.sha256));
    }
    match control.pin(relay.id) {
        Some(held) if held.key_sha256 != key.sha256 => Err(key_changed(relay, &held.key_sha256, &key.sha256)),
        Some(_) => Ok(relay.clone()),
        None => {
            tracing::warn!(relay = %relay.name, fingerprint = key.sha256, "this key is trusted from now on: compare it with the relay's log");
            let pin = Pin { key_sha256: key.sha256.clone(), how: Pinned::FirstUse };
            relays::pin(control, relay, pin).map(|()| relay.clone())
        }
    }
}

/// What is said when a relay has another key than it is known by.
pub(crate) fn key_changed_text(name: &str, known: &str, shown: &str) -> String {
    format!(
        "relay {name} shows the key {shown}, not {known} by which it is known: someone is between, or it was set up anew; then run postern relay remove {name} and add it again"
    )
}

fn key_changed(relay: &Relay, known: &str, shown: &str) -> Problem {
    crate::problem::problem("permission-denied", key_changed_text(relay.name.as_str(), known, shown))
}

/// A name from what the relay calls itself, usually its host name: lower case, other characters become dashes.
pub(crate) fn name_of(text: &str) -> Name {
    let mapped: String =
        text.chars().take(63).map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let trimmed = mapped.trim_matches('-');
    #[expect(clippy::expect_used, reason = "only letters, digits and inner dashes are left")]
    if trimmed.is_empty() { "relay" } else { trimmed }.parse().expect("a name")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_become_names() {
        for (text, name) in
            [("Edge_1.example.com", "edge-1-example-com"), ("", "relay"), ("--", "relay"), ("ä", "relay")]
        {
            assert_eq!(name_of(text).as_str(), name);
        }
        assert_eq!(name_of(&"x.".repeat(60)).as_str().len(), 63);
    }
}
