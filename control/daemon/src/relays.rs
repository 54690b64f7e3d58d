//! Relays: which there are, by which key each is known, and how they are.

use postern_model::admin::{AddRelay, Changed, Pinned, Problem, RelayView};
use postern_model::config::Relay;
use postern_model::document::RelayEntry;
use postern_model::ids::{Name, RelayId};
use postern_model::relay_address::RelayAddress;
use postern_model::{Change, Snapshot};

use crate::control::{Actor, Audit, Control, Draft};
use crate::fleet::RelayLink;
use crate::limits::RELAYS_MAX;
use crate::problem::{not_found, problem};
use crate::shared_keys;
use crate::store::Pin;

/// `relay add`: control dials it from now on.
pub(crate) fn add(control: &Control, actor: &Actor, request: AddRelay) -> Result<RelayView, Problem> {
    check_address(&request.address)?;
    let fingerprint = request.fingerprint.as_deref().map(parse_fingerprint).transpose()?;
    {
        let snapshot = control.snapshot();
        if let Ok(other) = find(&snapshot, request.name.as_str()) {
            return Err(problem("name-taken", format!("a relay {} exists already ({})", other.name, other.id)));
        }
        let same = snapshot.relays.values().find(|relay| relay.address.as_deref() == Some(&request.address));
        if let Some(other) = same {
            let detail = format!("{} is the relay {} already", request.address, other.name);
            return Err(problem("name-taken", detail).about("address"));
        }
    }
    let pin = fingerprint.map(|key_sha256| Pin { key_sha256, how: Pinned::Given });
    let relay = create(control, actor, request.name, Some(request.address), pin)?;
    Ok(view(control, &control.snapshot(), &relay))
}

/// `relay list`.
pub(crate) fn list(control: &Control) -> Vec<RelayView> {
    let snapshot = control.snapshot();
    snapshot.relays.values().map(|relay| view(control, &snapshot, relay)).collect()
}

/// `relay show`.
pub(crate) fn show(control: &Control, name: &str) -> Result<RelayView, Problem> {
    let snapshot = control.snapshot();
    Ok(view(control, &snapshot, find(&snapshot, name)?))
}

/// `apply`: a relay shall be dialled there, and known by that key. Nothing happens when it is so.
pub(crate) fn put(control: &Control, actor: &Actor, name: &Name, entry: &RelayEntry) -> Result<(), Problem> {
    let RelayEntry { address, fingerprint } = entry.clone();
    let before = control.snapshot().relays.values().find(|relay| relay.name == *name).cloned();
    let Some(before) = before else {
        return add(control, actor, AddRelay { name: name.clone(), address, fingerprint }).map(drop);
    };
    check_address(&address)?;
    let held = control.pin(before.id);
    let key_sha256 = fingerprint.as_deref().map(parse_fingerprint).transpose()?;
    let same_key = key_sha256.is_none() || key_sha256 == held.as_ref().map(|pin| pin.key_sha256.clone());
    if same_key && before.address.as_ref() == Some(&address) {
        return Ok(());
    }
    let pin = if same_key { held.clone() } else { key_sha256.map(|key_sha256| Pin { key_sha256, how: Pinned::Given }) };
    let relay = Relay { address: Some(address), ..before.clone() };
    let mut draft = Draft::default();
    draft.change(Change::RelayPut(relay.clone()));
    let was = summary(&before, held.as_ref());
    draft.audit(audit("relay.set", &relay, Some(was), Some(summary(&relay, pin.as_ref()))));
    if !same_key {
        draft.pin(relay.id, pin);
    }
    control.commit(actor, draft).map(drop)
}

/// `apply --prune`: as [`remove`], but its link is closed by the caller, once it is certain. Gives what it was.
pub(crate) fn remove_staged(control: &Control, actor: &Actor, name: &str) -> Result<RelayView, Problem> {
    let seen = show(control, name)?;
    removal(control, actor, name, false)?;
    Ok(seen)
}

/// `relay remove`: its link is closed and its key forgotten, and the others get new keys in place of those that it has; with
/// `keep_keys` they keep them.
pub(crate) fn remove(control: &Control, actor: &Actor, name: &str, keep_keys: bool) -> Result<Changed, Problem> {
    let (relay, version) = removal(control, actor, name, keep_keys)?;
    let is_linked = control.fleet.borrow().relay(relay.id).is_some_and(|link| link.connected);
    control.fleet.borrow_mut().removed(relay.id, "this relay was removed with `postern relay remove`");
    let mut warnings = vec![goes_on(&relay.name, is_linked)];
    warnings.push(CERTIFICATES.into());
    if relay.address.is_none() {
        warnings.push("it came through the Unix socket and links again as long as it runs".into());
    }
    Ok(Changed { version, warnings })
}

/// What a relay that was removed does. One that is not told of it keeps what it was told, tokens that are revoked later
/// among it.
pub(crate) fn goes_on(name: &Name, is_linked: bool) -> String {
    match is_linked {
        true => format!(
            "relay {name} is told to let nobody in any more where an application asks who it is (--preauth oidc), and serves the others until it is stopped: stop it"
        ),
        false => format!(
            "relay {name} is not linked: it goes on with what it was told last, service tokens among it, until it is told or stopped: stop it"
        ),
    }
}

fn removal(control: &Control, actor: &Actor, name: &str, keep_keys: bool) -> Result<(Relay, u64), Problem> {
    let relay = find(&control.snapshot(), name)?.clone();
    let mut draft = Draft::default();
    draft.change(Change::RelayRemoved { id: relay.id });
    draft.pin(relay.id, None);
    // After it is gone: its link tells it nothing any more.
    if !keep_keys {
        shared_keys::replaced(&control.snapshot())?.into_iter().for_each(|change| draft.change(change));
    }
    draft.audit(audit("relay.remove", &relay, Some(summary(&relay, control.pin(relay.id).as_ref())), None));
    let version = control.commit(actor, draft)?;
    Ok((relay, version))
}

/// Makes a relay known.
pub(crate) fn create(
    control: &Control,
    actor: &Actor,
    name: Name,
    address: Option<String>,
    pin: Option<Pin>,
) -> Result<Relay, Problem> {
    if control.snapshot().relays.len() >= RELAYS_MAX {
        return Err(problem("limit-reached", format!("there are {RELAYS_MAX} relays already")));
    }
    let mut draft = Draft::default();
    let relay = Relay { id: RelayId(control.next("relay", &mut draft)?), name, address };
    draft.change(Change::RelayPut(relay.clone()));
    draft.audit(audit("relay.add", &relay, None, Some(summary(&relay, pin.as_ref()))));
    draft.pin(relay.id, pin);
    control.commit(actor, draft)?;
    Ok(relay)
}

/// Remembers the key a relay is known by from now on.
pub(crate) fn pin(control: &Control, relay: &Relay, pin: Pin) -> Result<(), Problem> {
    let before = control.pin(relay.id).map(|pin| summary(relay, Some(&pin)));
    let mut draft = Draft::default();
    draft.audit(audit("relay.pin", relay, before, Some(summary(relay, Some(&pin)))));
    draft.pin(relay.id, Some(pin));
    control.commit(&Actor::Relay(relay.name.to_string()), draft).map(drop)
}

/// A relay by name or id.
pub(crate) fn find<'a>(snapshot: &'a Snapshot, name: &str) -> Result<&'a Relay, Problem> {
    let by_name = snapshot.relays.values().find(|relay| relay.name.as_str() == name);
    let found = by_name.or_else(|| snapshot.relays.values().find(|relay| relay.id.to_string() == name));
    found.ok_or_else(|| not_found("relay", name))
}

/// A relay for people.
pub(crate) fn view(control: &Control, snapshot: &Snapshot, relay: &Relay) -> RelayView {
    let fleet = control.fleet.borrow();
    let link = fleet.relay(relay.id);
    let pin = control.pin(relay.id);
    RelayView {
        id: relay.id,
        name: relay.name.clone(),
        address: relay.address.clone(),
        pinned: pin.as_ref().map_or(Pinned::No, |pin| pin.how),
        fingerprint: pin.map(|pin| pin.key_sha256),
        connected: link.is_some_and(|link| link.connected),
        since_unix_ms: link.map_or(0, |link| link.since_unix_ms),
        software: link.map(|link| link.software.clone()).unwrap_or_default(),
        status: link.and_then(|link| link.status.clone()),
        problem: link_problem(link, snapshot.version),
    }
}

fn link_problem(link: Option<&RelayLink>, version: u64) -> Option<String> {
    let Some(link) = link else { return Some("it was not linked since control started".into()) };
    if let Some((rejected, reason)) = &link.rejected {
        let applied = link.applied_version;
        return Some(format!("it refused version {rejected} ({reason}) and serves {applied} of {version}"));
    }
    link.problem.clone().filter(|_| !link.connected)
}

/// `HOST:PORT`, with a DNS name, IPv4 or bracketed IPv6 address.
pub(crate) fn check_address(address: &str) -> Result<(), Problem> {
    // It is kept as it was given, and compared: in one spelling.
    if address.parse::<RelayAddress>().is_ok_and(|known| known.to_string() == address) {
        return Ok(());
    }
    let address: String = address.chars().take(80).collect();
    let detail = format!("{address:?} is not HOST:PORT, such as relay.example.com:443");
    Err(problem("request-invalid", detail).about("address"))
}

fn parse_fingerprint(text: &str) -> Result<String, Problem> {
    let hex: String = text.strip_prefix("SHA256:").unwrap_or(text).chars().filter(|c| *c != ':').collect();
    if hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(hex.to_ascii_lowercase());
    }
    let text: String = text.chars().take(80).collect();
    let detail = format!(
        "{text:?} is not the SHA-256 of a relay's key: a fingerprint is 64 hex digits, as the relay logs at its start"
    );
    Err(problem("request-invalid", detail).about("fingerprint"))
}

fn audit(action: &'static str, relay: &Relay, before: Option<String>, after: Option<String>) -> Audit {
    Audit { action, tenant: None, target: format!("relay {} ({})", relay.name, relay.id), before, after }
}

fn summary(relay: &Relay, pin: Option<&Pin>) -> String {
    let address = relay.address.as_deref().unwrap_or("unix");
    match pin {
        Some(pin) => format!("{address} key={} ({:?})", pin.key_sha256, pin.how),
        None => format!("{address} key not seen yet"),
    }
}

/// Said of every relay that goes.
const CERTIFICATES: &str = "the private keys of the applications' certificates were on it, too: where others may have got at them, replace the certificates";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_host_and_port() {
        for right in ["relay.example.com:443", "10.0.0.1:8443", "[::1]:443", "localhost:1"] {
            assert!(check_address(right).is_ok(), "{right}");
        }
        for wrong in ["", "relay", "relay:", "relay:0", "relay:70000", ":443", "::1:443", "a b:1", "[x]:1"] {
            assert!(check_address(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn fingerprints_have_one_spelling() {
        let hex = "AB".repeat(32);
        assert_eq!(parse_fingerprint(&hex).unwrap(), "ab".repeat(32));
        assert_eq!(parse_fingerprint(&format!("SHA256:{hex}")).unwrap(), "ab".repeat(32));
        assert!(parse_fingerprint("ab").is_err());
    }
}
