//! Devices in the store. The authorities' certificates are part of the state that relays get; devices are rows here.

use postern_model::device::{Approval, Device, DeviceSettings};
use postern_model::ids::{DeviceId, Name, TenantId, UserId};

use super::StoreError;

/// What can be asked about devices. Those that were removed and are remembered are found, too, unless it says otherwise.
pub(crate) trait Devices {
    /// A device by id.
    fn device(&mut self, id: DeviceId) -> Result<Option<Device>, StoreError>;

    /// The devices with this key, whichever authority vouches for it: one of each at most.
    fn devices_of_key(&mut self, tenant: TenantId, sha256: &str) -> Result<Vec<Device>, StoreError>;

    /// Devices by their numbers.
    fn devices(&mut self, query: &DeviceQuery) -> Result<Vec<Device>, StoreError>;

    /// How many devices a tenant has, or a user: without those that were removed.
    fn device_count(&mut self, tenant: TenantId, owner: Option<UserId>) -> Result<u32, StoreError>;

    /// How many of a tenant's were removed and are remembered.
    fn devices_remembered(&mut self, tenant: TenantId) -> Result<u32, StoreError>;

    /// Devices that sessions began with, and that stopped complying, or whose certificates ended, after one second and not after
    /// another.
    fn devices_over(&mut self, after_unix: u64, until_unix: u64) -> Result<Vec<DeviceId>, StoreError>;

    /// How a tenant's users enrol devices.
    fn device_settings(&mut self, tenant: TenantId) -> Result<DeviceSettings, StoreError>;
}

/// Which devices.
#[derive(Debug, Clone)]
pub(crate) struct DeviceQuery {
    pub(crate) tenant: TenantId,
    pub(crate) owner: Option<UserId>,
    /// Only those; `None`: all but those that were removed.
    pub(crate) approval: Option<Approval>,
    /// Those behind this number.
    pub(crate) after: u32,
    pub(crate) limit: u32,
}

/// A change to devices.
#[derive(Debug)]
pub(crate) enum DeviceChange {
    /// Made, or changed.
    Put(Box<Device>),
    /// It was shown at a time. Nothing happens when it is gone, or was shown later.
    Seen(DeviceId, u64),
    /// Without a trace.
    Removed(DeviceId),
    /// Those of an authority that came by themselves, and would again as they are: whoever was blocked or removed, is somebody's
    /// alone or does not comply stays that. Of the tenant's own authority, which brings none back, only those that are blocked.
    AuthorityRemoved(TenantId, Name),
    /// What an authority issued before a second counts for nothing: until a device shows what it was issued since.
    CertificatesEnded(TenantId, Name, u64),
    /// Those, of all tenants, that would come by themselves again as they are, and whose certificates ended before a second: some
    /// at once.
    Expired(u64),
    SettingsPut(TenantId, DeviceSettings),
}
