//! Devices in the store. The authorities' certificates are part of the state that relays get; devices are rows here.

use postern_model::device::{Approval, Device, DeviceSettings};
use postern_model::ids::{DeviceId, Name, TenantId, UserId};

use super::StoreError;

/// What can be asked about devices. Those that were removed and are remembered are found, too, unless it says otherwise.
pub(crate) trait Devices {
    /// A device by id.
    fn device(&mut self, id: DeviceId) -> Result<Option<Device>, StoreError>;

    /// The device that an authority issued exactly this certificate to, if it is the newest it showed.
    fn device_of_certificate(
        &mut self,
        tenant: TenantId,
        authority: &Name,
        sha256: &str,
    ) -> Result<Option<Device>, StoreError>;

    /// The device with this key, among those of an authority.
    fn device_of_key(&mut self, tenant: TenantId, authority: &Name, sha256: &str)
    -> Result<Option<Device>, StoreError>;

    /// Devices by their numbers.
    fn devices(&mut self, query: &DeviceQuery) -> Result<Vec<Device>, StoreError>;

    /// How many devices a tenant has, or a user.
    fn device_count(&mut self, tenant: TenantId, owner: Option<UserId>) -> Result<u32, StoreError>;

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
    /// All of an authority, but for those that were removed and are remembered.
    AuthorityRemoved(TenantId, Name),
    SettingsPut(TenantId, DeviceSettings),
}
