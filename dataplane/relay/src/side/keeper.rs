//! Keeps what the relay knows: identity, authority, state; on disk and in force. Control's messages go in, answers and
//! publications come out. It never waits for anything but the disk.

mod publication;

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, anyhow};
use postern_model::delta::Delta;
use postern_model::ids::{Epoch, RelayId};
use postern_model::link::{Hello, PROTOCOL, RelayStatus, ToControl, Welcome};
use postern_model::snapshot::Snapshot;
use rustls::ServerConfig;
use zeroize::Zeroizing;

use super::challenges::Challenges;
use super::disk::Folder;
use super::identity::Identity;
use super::seal::Seal;
use super::state::{FollowedState, Saved, Settled};
use super::tls::{Authority, ClientCertificates, TlsConfigs};
use crate::args::TlsPreset;
use crate::limit::{LimitTable, monotonic_ns};
use crate::limits::{SAVE_RETRY_INTERVAL, STATE_BYTES_MAX};
use crate::network::NetworkTable;
use crate::published::{ConfigHandle, Published};
use publication::{first_publication, shared_group_configs};

/// All of it.
#[derive(Debug)]
pub(crate) struct Keeper {
    folder: Folder,
    seal: Seal,
    identity: Identity,
    configs: TlsConfigs,
    relay: Option<RelayId>,
    /// Whose client certificates are good: the trust anchor where there is one, else as control says.
    authority: Option<Authority>,
    authority_is_given: bool,
    state: FollowedState,
    /// A delta did not follow: ask for a whole state.
    needs_snapshot: bool,
    /// What control said of itself on the present link.
    link_epoch: Option<Epoch>,
    /// In which of control's epochs the state was told. Not kept on disk: a start asks for the whole state.
    state_epoch: Option<Epoch>,
    /// The version that a restart would begin with.
    kept_version: u64,
    /// Why that is not the one in force, and when this was last tried.
    unkept: Option<(String, Instant)>,
    /// Control was not told yet that what it sent is in force.
    unconfirmed: bool,
    handle: ConfigHandle,
}

impl Keeper {
    /// Loads what is there. A state that cannot be read is not fatal: control has it; the second value says so.
    pub(crate) fn load(
        folder: Folder,
        trust_anchor_pem: Option<&str>,
        preset: TlsPreset,
    ) -> anyhow::Result<(Self, Option<String>)> {
        let unusable = || format!("the state folder {} cannot be used", folder.as_ref().display());
        let seal = Seal::load_or_make(&folder).with_context(unusable)?;
        let identity = Identity::load_or_make(&folder).with_context(unusable)?;
        let authority = trust_anchor_pem.map(Authority::read).transpose()?;
        let (saved, warning) = match load_saved(&folder, &seal) {
            Ok(saved) => (saved, None),
            Err(error) => (None, Some(format!("{error:#}; starting without it until control sends it again"))),
        };
        let configs = TlsConfigs::new(preset)?;
        let first = first_publication(&configs, &identity);
        let mut keeper = Self {
            authority_is_given: authority.is_some(),
            folder,
            seal,
            identity,
            configs,
            relay: None,
            authority,
            state: FollowedState::default(),
            needs_snapshot: false,
            link_epoch: None,
            state_epoch: None,
            kept_version: 0,
            unkept: None,
            unconfirmed: false,
            handle: ConfigHandle::new(Arc::new(first)),
        };
        let warning = keeper.restore(saved).or(warning);
        Ok((keeper, warning))
    }

    fn restore(&mut self, saved: Option<Saved<Snapshot>>) -> Option<String> {
        let saved = saved?;
        self.relay = saved.relay;
        if !self.authority_is_given {
            self.authority = saved.ca_pem.and_then(|pem| Authority::read(&pem).ok());
        }
        self.state.replace(saved.snapshot);
        let settled = self.state.settle();
        self.kept_version = self.served_version();
        self.publish();
        match settled {
            Settled::Refused { version, reason } => {
                Some(format!("the saved state (version {version}) cannot be served: {reason}"))
            }
            Settled::Serve | Settled::Unchanged => None,
        }
    }

    pub(crate) fn handle(&self) -> &ConfigHandle {
        &self.handle
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The version in force.
    pub(crate) fn served_version(&self) -> u64 {
        self.state.served().plan.version()
    }

    /// What control is told of this relay's status. A report confirms, too: not what a restart would undo.
    pub(crate) fn report(&self, mut status: RelayStatus) -> RelayStatus {
        status.applied_version = self.kept_version;
        status.warnings.extend(self.unkept_warning());
        status
    }

    fn unkept_warning(&self) -> Option<String> {
        let (error, _) = self.unkept.as_ref()?;
        Some(format!(
            "the state in {} cannot be saved ({error}): what control changes is in force, and a restart would undo it",
            self.folder.as_ref().display()
        ))
    }

    /// What to say first on a link. Who is at its other end is not known before the welcome.
    pub(crate) fn hello(
        &mut self,
        name: &str,
        generation: u32,
        workers: u16,
        now_unix_ms: u64,
    ) -> anyhow::Result<Hello> {
        let csr_pem = self.identity.request_pem()?;
        self.link_epoch = None;
        Ok(Hello {
            protocol: PROTOCOL,
            software: String::from(SOFTWARE),
            relay_name: name.to_owned(),
            csr_pem,
            last_version: if self.needs_snapshot { 0 } else { self.state.version() },
            epoch: self.state_epoch.filter(|_| !self.needs_snapshot),
            generation,
            workers: u32::from(workers),
            time_unix_ms: now_unix_ms,
            sessions: true,
        })
    }

    /// Takes id and certificate from control.
    ///
    /// # Errors
    /// When this cannot be the control that the relay was told to trust, or its certificate is of no use.
    pub(crate) fn welcome(&mut self, welcome: &Welcome) -> anyhow::Result<()> {
        let authority =
            Authority::read(&welcome.ca_pem).map_err(|_| anyhow!("control's CA certificate cannot be read"))?;
        if self.authority_is_given && self.authority.as_ref() != Some(&authority) {
            return Err(anyhow!(
                "control has another CA than --trust-anchor: give the certificate that this control's `postern init` wrote"
            ));
        }
        self.identity.take_issued(&welcome.certificate_pem)?;
        self.relay = Some(welcome.relay_id);
        self.authority = Some(authority);
        self.link_epoch = welcome.epoch;
        self.publish();
        self.save();
        Ok(())
    }

    /// Starts over from control's state.
    pub(crate) fn snapshot(&mut self, snapshot: Snapshot) {
        self.needs_snapshot = false;
        self.state_epoch = self.link_epoch;
        self.state.replace(snapshot);
    }

    /// Takes a change; `Some` is the refusal of one that does not follow, after which the link is to be opened anew.
    pub(crate) fn delta(&mut self, delta: &Delta) -> Option<ToControl> {
        // A version that follows in number may be one of another history: control was restored from a backup.
        let reason = match self.state_epoch == self.link_epoch {
            true => self.state.apply(delta).err()?.to_string(),
            false => String::from("the state here was told in another epoch"),
        };
        self.needs_snapshot = true;
        Some(ToControl::Rejected { version: delta.version, reason })
    }

    /// After one or more of those: serves what can be served, keeps it, and says what to tell control.
    pub(crate) fn settle(&mut self) -> Option<ToControl> {
        match self.state.settle() {
            Settled::Unchanged => self.confirm(),
            Settled::Serve => {
                self.publish();
                self.save();
                self.unconfirmed = true;
                self.confirm()
            }
            Settled::Refused { version, reason } => {
                tracing::error!(
                    version,
                    reason,
                    serving = self.served_version(),
                    "control's state cannot be served; the last good one still is"
                );
                Some(ToControl::Rejected { version, reason })
            }
        }
    }

    /// Tries again, now and then, to save what could not be saved, and says what to tell control once it is.
    pub(crate) fn save_again(&mut self, now: Instant) -> Option<ToControl> {
        let is_due = |tried: Instant| now.saturating_duration_since(tried) >= SAVE_RETRY_INTERVAL;
        if !self.unkept.as_ref().is_some_and(|(_, tried)| is_due(*tried)) {
            return None;
        }
        self.save();
        self.confirm()
    }

    /// Once for what is served. Not what is unsaved: a restart without control would make good again what was revoked. Nor
    /// what was told in another epoch than the link's: its number is of another history.
    fn confirm(&mut self) -> Option<ToControl> {
        let is_kept = self.unkept.is_none() && self.state.is_served();
        if !self.unconfirmed || !is_kept || self.state_epoch != self.link_epoch {
            return None;
        }
        self.unconfirmed = false;
        Some(ToControl::Applied { version: self.served_version() })
    }

    /// Control does not want this relay. One that it removed is told of no revocation any more: all that lets requests pass by
    /// right goes, once and for all with [`Keeper::settle`], and comes back only with a whole state.
    pub(crate) fn refused(&mut self, reason: &str, removed: bool) {
        tracing::error!(reason, removed, "control refuses this relay");
        if !removed {
            return;
        }
        self.state.settle();
        if !self.state.is_served() {
            // What is served came from the last good state. Where that is not on disk, nothing is served.
            let saved = load_saved(&self.folder, &self.seal).ok().flatten().filter(|_| self.unkept.is_none());
            self.state.replace(saved.map_or_else(Snapshot::default, |saved| saved.snapshot));
        }
        self.state.bar();
        self.handle.current().sessions.clear();
        self.needs_snapshot = true;
        self.state_epoch = None;
    }

    /// For enrolments.
    pub(crate) fn enrolment_tls(&self) -> Option<Arc<ServerConfig>> {
        self.identity.issued().map(|own| self.configs.enrolment(own))
    }

    /// For identity processes.
    pub(crate) fn pipe_tls(&self) -> Option<Arc<ServerConfig>> {
        let (own, authority) = self.identity.issued().zip(self.authority.as_ref())?;
        self.configs.identity(own, authority).ok()
    }

    /// For control, where it dials in.
    pub(crate) fn control_tls(&self) -> Option<Arc<ServerConfig>> {
        let own = self.identity.issued().unwrap_or_else(|| self.identity.self_signed());
        let authority = self.authority.as_ref().filter(|_| self.authority_is_given)?;
        self.configs.control(own, authority).ok()
    }

    /// SIGHUP with a trust anchor that may have changed.
    pub(crate) fn trust(&mut self, pem: &str) -> anyhow::Result<()> {
        self.authority = Some(Authority::read(pem)?);
        self.publish();
        Ok(())
    }

    fn publish(&mut self) {
        let held = self.handle.current();
        let served = self.state.served().clone();
        let snapshot = self.state.snapshot();
        // While control's newest cannot be served, everything of the last good one stays.
        let (group_configs, connectors, challenges) = match self.state.is_served() {
            true => (
                shared_group_configs(&held, snapshot),
                snapshot.connectors.iter().map(|(id, c)| (*id, c.group)).collect(),
                Challenges::next(&held.challenges, snapshot, &self.configs),
            ),
            false => (held.group_configs.clone(), held.connectors.clone(), Arc::clone(&held.challenges)),
        };
        // One plan, one table: while control's newest cannot be served, its limits are not in force either.
        let limits = Arc::new(LimitTable::next(&held.limits, &served.plan, monotonic_ns()));
        let networks = Arc::new(NetworkTable::next(&held.networks, &served.plan));
        let fallback = Arc::clone(self.identity.self_signed());
        let certificates = Arc::new(ClientCertificates { plan: Arc::clone(&served.plan), keys: served.keys, fallback });
        let devices = served.plan.device_host().map(|_| served.plan.device_authorities());
        let devices_tls = devices.map(|authorities| self.configs.devices(Arc::clone(&certificates), authorities));
        let own = self.identity.issued().zip(self.authority.as_ref());
        let permits = if held.plan.permits_as(&served.plan) { held.permits } else { held.permits + 1 };
        self.handle.publish(Arc::new(Published {
            sequence: held.sequence + 1,
            version: served.plan.version(),
            permits,
            sessions: Arc::clone(&held.sessions),
            relay: self.relay,
            tls13: served.plan.asks_tls13().then(|| self.configs.clients_tls13(Arc::clone(&certificates))),
            plan: served.plan,
            tls: self.configs.clients(certificates),
            devices_tls,
            tunnel_tls: own.and_then(|(own, authority)| self.configs.tunnels(own, authority).ok()),
            group_configs,
            connectors,
            limits,
            networks,
            countries: Arc::clone(&held.countries),
            challenges,
        }));
    }

    /// Writes the last good state and says whether it is on disk. One that cannot be served is not written: what is on disk can.
    fn save(&mut self) -> bool {
        if !self.state.is_served() {
            return false;
        }
        let saved = Saved {
            relay: self.relay,
            ca_pem: self.authority.as_ref().map(|authority| authority.pem.clone()),
            snapshot: self.state.snapshot(),
        };
        let plain = serde_json::to_vec(&saved).map(Zeroizing::new).map_err(std::io::Error::from);
        let kept =
            plain.and_then(|plain| self.seal.seal(plain)).and_then(|sealed| self.folder.replace(STATE_FILE, &sealed));
        self.note_saved(kept)
    }

    /// Each reason is logged once, however often it is tried.
    fn note_saved(&mut self, saved: std::io::Result<()>) -> bool {
        let Err(error) = saved else {
            self.kept_version = self.served_version();
            self.unkept = None;
            return true;
        };
        let error = error.to_string();
        if self.unkept.as_ref().is_none_or(|(known, _)| *known != error) {
            tracing::error!(error, "the state could not be saved: a restart without control would serve an older one");
        }
        self.unkept = Some((error, Instant::now()));
        false
    }
}

fn load_saved(folder: &Folder, seal: &Seal) -> anyhow::Result<Option<Saved<Snapshot>>> {
    let Some(sealed) = folder.read(STATE_FILE, STATE_BYTES_MAX)? else { return Ok(None) };
    let plain = seal.open(&sealed)?;
    Ok(Some(serde_json::from_slice(&plain).context("the saved state cannot be read")?))
}

const STATE_FILE: &str = "state.sealed";
const SOFTWARE: &str = concat!("postern-relay/", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests;
