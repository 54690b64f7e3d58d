//! Places by their hosts, on one side: exact names, and names below which any other is.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::Ipv6Addr;

use postern_model::app_url::HOST_BYTES_MAX;
use postern_model::host::lowered;

use super::Place;
use super::places::Places;

/// All places of one side.
#[derive(Debug, Default)]
pub(super) struct Side {
    exact: HashMap<Box<str>, Places>,
    wildcards: HashMap<Box<str>, Places>,
}

/// What is at a host.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) places: &'a Places,
    /// What stands for `*`; empty where the host has places of its own.
    pub(super) labels: &'a str,
}

/// `HOST[:PORT]` on the other side.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Authority {
    One(Box<str>),
    /// The application has any number of hosts: which one is meant is known only of its own requests.
    Any,
    /// `.NAME[:PORT]`, with the same labels before it.
    Below(Box<str>),
}

impl Side {
    /// `host`: perhaps with `*.`.
    pub(super) fn add(&mut self, host: &str, place: Place) {
        let at = match host.strip_prefix("*.") {
            Some(name) => self.wildcards.entry(name.into()),
            None => self.exact.entry(host.into()),
        };
        at.or_default().add(place);
    }

    /// Looks a host up in any case, an IPv6 address in any spelling: exact names first, then the longest wildcard.
    pub(super) fn find<'a>(&'a self, host: &'a str) -> Option<At<'a>> {
        if host.contains(':') {
            let address = host.parse::<Ipv6Addr>().ok()?.to_string();
            return self.exact.get(address.as_str()).map(|places| At { places, labels: "" });
        }
        let mut buffer = [0; HOST_BYTES_MAX];
        let lowered = lowered(host, &mut buffer)?;
        if let Some(places) = self.exact.get(lowered) {
            return Some(At { places, labels: "" });
        }
        if self.wildcards.is_empty() {
            return None;
        }
        let mut dots = lowered.match_indices('.');
        let (end, places) = dots.find_map(|(at, _)| Some((at, self.wildcards.get(&lowered[at + 1..])?)))?;
        let labels = host.get(..end).filter(|labels| are_labels(labels))?;
        Some(At { places, labels })
    }
}

impl Authority {
    /// `labels`: what stood for `*`.
    pub(super) fn of(&self, labels: &str) -> Option<Cow<'_, str>> {
        match self {
            Self::One(authority) => Some(Cow::Borrowed(authority)),
            Self::Any => None,
            Self::Below(_) if labels.is_empty() => None,
            Self::Below(name) => Some(Cow::Owned(labels.to_ascii_lowercase() + &**name)),
        }
    }
}

/// Nothing but what hosts are made of is put in front of a name.
fn are_labels(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let is_label = |label: &str| {
        !label.is_empty() && !label.starts_with('-') && !label.ends_with('-') && label.bytes().all(is_letter)
    };
    text.split('.').all(is_label)
}
