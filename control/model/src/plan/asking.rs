//! Whose processes may ask control, through a relay: those where people sign in, and those that read a directory. And where
//! browsers show their devices, which the former serve, too.

use std::collections::BTreeSet;
use std::sync::Arc;

use rustls_pki_types::CertificateDer;

use super::{ConfigInvalid, Plan, PlannedApp};
use crate::device::DeviceHost;
use crate::ids::{AppId, GroupId};
use crate::snapshot::Snapshot;

/// Where people sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedIdentity {
    /// The application that they do it at.
    pub app: Arc<PlannedApp>,
    /// Whose connectors are identity processes.
    pub group: GroupId,
    /// Another host of the same application, where browsers show their devices.
    pub device_host: Option<DeviceHost>,
}

impl Plan {
    /// Where people sign in.
    #[must_use]
    pub const fn identity(&self) -> Option<&PlannedIdentity> {
        self.identity.as_ref()
    }

    /// Where browsers show their devices.
    #[must_use]
    pub fn device_host(&self) -> Option<&DeviceHost> {
        self.identity.as_ref()?.device_host.as_ref()
    }

    /// Whether a host (no port, any case) is that one.
    #[must_use]
    pub fn is_device_host(&self, host: &str) -> bool {
        self.device_host().is_some_and(|device_host| device_host.as_str().eq_ignore_ascii_case(host))
    }

    /// Whose certificates devices may show, of all tenants, each once: which of them counts for whom is control's to say.
    #[must_use]
    pub fn device_authorities(&self) -> &[CertificateDer<'static>] {
        &self.device_authorities
    }

    /// Whether a group's connectors are processes that read a directory: they may ask control.
    #[must_use]
    pub fn is_directory_sync(&self, group: GroupId) -> bool {
        self.directory_sync.contains(&group)
    }

    /// Where people sign in and show their devices.
    pub(super) fn issuer(&self) -> Option<(AppId, Option<&DeviceHost>)> {
        self.identity.as_ref().map(|identity| (identity.app.id, identity.device_host.as_ref()))
    }

    /// # Errors
    /// When an application is published where devices are to be shown.
    pub(super) fn note_who_asks(&mut self, snapshot: &Snapshot) -> Result<(), ConfigInvalid> {
        let sources = snapshot.groups.values().filter(|group| group.directory_sync);
        self.directory_sync = sources.map(|group| group.id).collect();
        let identity = snapshot.identity.as_ref();
        self.identity = identity.and_then(|identity| {
            let app = Arc::clone(self.apps.get(&identity.app)?);
            Some(PlannedIdentity { app, group: identity.group, device_host: identity.device_host.clone() })
        });
        self.keep_device_host()?;
        let authorities = snapshot.device_authorities.values().map(|authority| authority.certificate.der());
        let authorities: BTreeSet<_> = authorities.map(|der| der.to_vec()).collect();
        self.device_authorities = authorities.into_iter().map(CertificateDer::from).collect();
        Ok(())
    }

    /// The device host is a host without a single application, also below a wildcard.
    fn keep_device_host(&mut self) -> Result<(), ConfigInvalid> {
        let Some(PlannedIdentity { app: identity, device_host: Some(host), .. }) = &self.identity else {
            return Ok(());
        };
        match self.hosts.entry(host.as_str()).any() {
            Some(app) => {
                let (app, url, other) = (app.name.clone(), format!("https://{host}/"), identity.name.clone());
                Err(ConfigInvalid::Conflict { app, url, other })
            }
            None => Ok(()),
        }
    }
}
