//! The thread beside the rings for what blocks: verifying and keeping group configurations, and renewing the certificate.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use postern_model::group_config::{GroupConfig, GroupConfigInvalid, SignedGroupConfig};
use postern_service::secret;
use postern_service::state::StateDir;

use crate::args::RelayAddress;
use crate::backend::BackendTable;
use crate::enrol::{self, NotEnrolled};
use crate::identity::Identity;
use crate::limits::{BACKOFF_MAX, CONFIG_BYTES_WAITING, CONFIG_FILE_BYTES_MAX};
use crate::worker::Shared;

/// Verifies group configurations and remembers the last good one.
#[derive(Debug)]
pub(crate) struct Verifier {
    authority: Vec<u8>,
    group: postern_model::ids::GroupId,
    held: Option<(SignedGroupConfig, Arc<BackendTable>)>,
}

impl Verifier {
    pub(crate) fn new(identity: &Identity) -> Self {
        Self { authority: identity.authority.to_vec(), group: identity.group, held: None }
    }

    /// The applications that `offered` names, if it is new.
    ///
    /// # Errors
    /// It is not to be trusted; what is held stays in force.
    pub(crate) fn take(&mut self, offered: &[u8]) -> Result<Option<Arc<BackendTable>>, GroupConfigInvalid> {
        let malformed = |error: serde_json::Error| GroupConfigInvalid::Malformed(error.to_string());
        let signed: SignedGroupConfig = serde_json::from_slice(offered).map_err(malformed)?;
        if self.held.as_ref().is_some_and(|(held, _)| held.body == signed.body) {
            return Ok(None);
        }
        let held = self.held.as_ref().map(|(_, table)| table);
        let held_version = held.map_or(0, |table| table.version);
        let config: GroupConfig = signed.verify(&self.authority, self.group, held_version)?;
        let table = Arc::new(BackendTable::build(&config, held.map(AsRef::as_ref)));
        self.held = Some((signed, Arc::clone(&table)));
        Ok(Some(table))
    }
}

/// What the thread works with.
pub(crate) struct Keeper {
    pub(crate) state: StateDir,
    pub(crate) relays: Vec<RelayAddress>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) verifier: Verifier,
    pub(crate) shared: Arc<Shared>,
}

impl Keeper {
    /// Serves until the process ends.
    pub(crate) fn run(mut self, offers: &Offers) {
        self.load_last_good();
        let mut renewal = Renewal::of(&self.identity);
        loop {
            if let Some((offered, config)) = offers.next(renewal.wait()) {
                let table = self.take(&config);
                self.shared.decided(offered, table.as_ref());
            }
            if renewal.is_due() && !self.shared.is_draining() {
                self.renew(&mut renewal);
            }
        }
    }

    /// So that backends are known before the first relay is.
    fn load_last_good(&mut self) {
        let path = self.state.file(CONFIG_FILE);
        let readable = std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() <= CONFIG_FILE_BYTES_MAX);
        let Some(last) = readable.then(|| std::fs::read(&path).ok()).flatten() else { return };
        match self.verifier.take(&last) {
            Ok(Some(table)) => self.shared.decided(Offered::default(), Some(&self.in_force(table))),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "group config: the last good one on disk is not used"),
        }
    }

    /// The applications from now on, if they changed.
    fn take(&mut self, config: &[u8]) -> Option<Arc<BackendTable>> {
        match self.verifier.take(config) {
            Ok(Some(table)) => {
                if let Err(error) = secret::write(&self.state.file(CONFIG_FILE), config) {
                    tracing::warn!(%error, "group config: it could not be kept for the next start");
                }
                return Some(self.in_force(table));
            }
            Ok(None) => {}
            Err(error @ GroupConfigInvalid::Older { .. }) => tracing::debug!(%error, "group config refused"),
            Err(error) => tracing::error!(%error, "group config refused; the one before stays in force"),
        }
        None
    }

    fn in_force(&self, table: Arc<BackendTable>) -> Arc<BackendTable> {
        tracing::info!(version = table.version, group = %table.group, apps = table.apps.len(), "group config in force");
        self.shared.proxies.warn_of_unknown(&table);
        table
    }

    fn renew(&mut self, renewal: &mut Renewal) {
        match self.ask_relays() {
            Ok(renewed) => {
                if let Err(failure) = renewed.save(&self.state) {
                    tracing::error!(%failure, "the renewed certificate is used, but could not be kept");
                }
                self.identity = Arc::new(renewed);
                self.shared.renewed(Arc::clone(&self.identity));
                *renewal = Renewal::of(&self.identity);
                tracing::info!(
                    days_left = self.identity.left(SystemTime::now()).as_secs() / 86_400,
                    "certificate renewed"
                );
            }
            Err(reason) => {
                let left_s = self.identity.left(SystemTime::now()).as_secs();
                if left_s == 0 {
                    tracing::error!(
                        reason,
                        "the certificate has expired: enrol anew with a new token and an empty state folder"
                    );
                } else {
                    tracing::warn!(reason, left_s, "the certificate could not be renewed yet");
                }
                renewal.postpone();
            }
        }
    }

    fn ask_relays(&self) -> Result<Identity, String> {
        let mut reason = String::new();
        for relay in &self.relays {
            match enrol::renew(relay, &self.identity, &self.shared.proxies) {
                Ok(renewed) => return Ok(renewed),
                Err(NotEnrolled::Later(why)) => reason = why,
                Err(NotEnrolled::Refused(failure)) => reason = failure.to_string(),
            }
        }
        Err(reason)
    }
}

/// When to renew next. Wall-clock time decides anew every hour at the latest, since clocks are set and hosts sleep.
#[derive(Debug)]
struct Renewal {
    at: Instant,
    failures: u32,
}

impl Renewal {
    fn of(identity: &Identity) -> Self {
        Self { at: Instant::now() + identity.renewal_in(SystemTime::now()), failures: 0 }
    }

    fn is_due(&self) -> bool {
        Instant::now() >= self.at
    }

    fn wait(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now()).min(Duration::from_secs(3_600))
    }

    /// From seconds to ten minutes.
    fn postpone(&mut self) {
        self.failures += 1;
        let wait = BACKOFF_MAX * 2u32.saturating_pow(self.failures.min(7));
        self.at = Instant::now() + wait.min(Duration::from_secs(600));
    }
}

/// The how-manieth configuration that came; 0 for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Offered(u64);

/// Configurations on their way from the tunnels to the keeper's thread. Every tunnel brings the same one: it waits once.
#[derive(Debug, Default)]
pub(crate) struct Offers {
    waiting: Mutex<Waiting>,
    came: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    configs: VecDeque<(Offered, Bytes)>,
    last: Offered,
}

impl Offers {
    /// Adds one without ever waiting for the keeper. Says what will be decided on; nothing if it is dropped.
    pub(crate) fn offer(&self, config: Bytes) -> Offered {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((same, _)) = waiting.configs.iter().find(|(_, other)| *other == config) {
            return *same;
        }
        let bytes: usize = waiting.configs.iter().map(|(_, config)| config.len()).sum();
        if bytes + config.len() > CONFIG_BYTES_WAITING {
            tracing::warn!("group config: too many different ones at once; this one is dropped");
            return Offered::default();
        }
        let offered = Offered(waiting.last.0 + 1);
        waiting.last = offered;
        waiting.configs.push_back((offered, config));
        self.came.notify_one();
        offered
    }

    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).configs.len()
    }

    /// The next one, if it comes within `patience`.
    pub(crate) fn next(&self, patience: Duration) -> Option<(Offered, Bytes)> {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.came.wait_timeout_while(waiting, patience, |waiting| waiting.configs.is_empty());
        waited.unwrap_or_else(PoisonError::into_inner).0.configs.pop_front()
    }
}

const CONFIG_FILE: &str = "group-config.json";
