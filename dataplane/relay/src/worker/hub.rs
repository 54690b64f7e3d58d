//! A worker's tunnels, by connector group, and which of them gets the next request.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use postern_io::random_u64;
use postern_model::ids::{ConnectorId, GroupId};
use postern_tunnel::GoAwayReason;

use super::counters::WorkerCounters;
use super::tunnel::{Health, Tunnel};
use crate::published::Published;

/// The tunnels of one worker.
#[derive(Default)]
pub(crate) struct Hub {
    groups: RefCell<HashMap<GroupId, Vec<Rc<Tunnel>>>>,
}

impl Hub {
    /// Adds a tunnel.
    pub(crate) fn add(&self, tunnel: Rc<Tunnel>) {
        self.groups.borrow_mut().entry(tunnel.group).or_default().push(tunnel);
    }

    /// Older tunnels of the same connector drain once a newer one is online: the connector would not have dialled again
    /// while it still used them.
    pub(crate) fn replace_older(&self, newer: &Tunnel) {
        let older = |other: &&Rc<Tunnel>| other.connector == newer.connector && other.created < newer.created;
        let groups = self.groups.borrow();
        let group = groups.get(&newer.group).map(Vec::as_slice).unwrap_or_default();
        let older: Vec<_> =
            group.iter().filter(older).filter(|other| other.health() != Health::Draining).cloned().collect();
        drop(groups);
        for other in older {
            other.go_away(GoAwayReason::REPLACED);
        }
    }

    pub(crate) fn remove(&self, tunnel: &Rc<Tunnel>) {
        let mut groups = self.groups.borrow_mut();
        if let Some(group) = groups.get_mut(&tunnel.group) {
            group.retain(|other| !Rc::ptr_eq(other, tunnel));
            if group.is_empty() {
                groups.remove(&tunnel.group);
            }
        }
    }

    /// The online tunnel with the fewest requests, apart from connectors that were tried; ties are broken by chance, so
    /// that equal connectors get equal shares and slower ones, whose requests stay longer, get less. Only when none is
    /// online, one that is merely suspected.
    pub(crate) fn pick(&self, group: GroupId, tried: &[ConnectorId]) -> Option<Rc<Tunnel>> {
        let groups = self.groups.borrow();
        let group = groups.get(&group)?;
        best(group, tried, Health::Online).or_else(|| best(group, tried, Health::Suspect))
    }

    /// Whether another connector than `tried` could take a request at once.
    pub(crate) fn has_online(&self, group: GroupId, tried: &[ConnectorId]) -> bool {
        let groups = self.groups.borrow();
        groups.get(&group).is_some_and(|group| best(group, tried, Health::Online).is_some())
    }

    /// All tunnels.
    pub(crate) fn tunnels(&self) -> Vec<Rc<Tunnel>> {
        self.groups.borrow().values().flatten().cloned().collect()
    }

    /// Shows what all tunnels hold.
    pub(crate) fn gauge(&self, counters: &WorkerCounters) {
        let groups = self.groups.borrow();
        let tunnels = || groups.values().flatten();
        counters.tunnel_streams_open.set(tunnels().map(|tunnel| tunnel.open_streams() as u64).sum());
        counters.tunnel_queue_bytes.set(tunnels().map(|tunnel| tunnel.queued_bytes() as u64).sum());
    }

    /// Whether the connector has another tunnel here than `tunnel`.
    pub(crate) fn has_other(&self, tunnel: &Tunnel) -> bool {
        let groups = self.groups.borrow();
        let same =
            |other: &&Rc<Tunnel>| other.connector == tunnel.connector && !std::ptr::eq(Rc::as_ptr(other), tunnel);
        groups.get(&tunnel.group).is_some_and(|group| group.iter().any(|other| same(&other)))
    }

    /// Has every request on a tunnel look around.
    pub(crate) fn wake_streams(&self) {
        for tunnel in self.tunnels() {
            tunnel.wake_streams();
        }
    }

    /// Cuts what is no longer admitted and sends what connectors may serve now.
    pub(crate) fn reconfigure(&self, published: &Published) {
        for tunnel in self.tunnels() {
            if !published.admits_connector(tunnel.connector, tunnel.group) {
                tracing::info!(connector = %tunnel.connector, "the connector was removed: tunnel cut");
                tunnel.cut();
            } else if let Some(config) = published.group_configs.get(&tunnel.group) {
                tunnel.send_config(config);
            }
        }
    }
}

fn best(group: &[Rc<Tunnel>], tried: &[ConnectorId], health: Health) -> Option<Rc<Tunnel>> {
    let fit = |tunnel: &&Rc<Tunnel>| tunnel.health() == health && !tried.contains(&tunnel.connector);
    let fewest = group.iter().filter(fit).map(|tunnel| tunnel.open_streams()).min()?;
    let equal = |tunnel: &&Rc<Tunnel>| fit(tunnel) && tunnel.open_streams() == fewest;
    let count = group.iter().filter(equal).count();
    let nth = if count == 1 { 0 } else { usize::try_from(random_u64() >> 33).unwrap_or(0) % count };
    group.iter().filter(equal).nth(nth).cloned()
}
