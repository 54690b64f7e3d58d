//! Sessions in the store: rows beside the directory's, for a restart must sign nobody out.

use std::collections::BTreeSet;
use std::net::IpAddr;

use postern_model::ids::{DeviceId, Name, SessionId, TenantId, UserId};
use postern_model::policy::{DeviceState, Risk};
use postern_model::session::AuthMethod;

use super::{ProviderSession, StoreError};

/// A session as control keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredSession {
    pub(crate) id: SessionId,
    pub(crate) user: UserId,
    /// SHA-256 of the secret that the browser has for the identity's host.
    pub(crate) browser: [u8; 32],
    pub(crate) created_unix: u64,
    pub(crate) authenticated_unix: u64,
    pub(crate) methods: BTreeSet<AuthMethod>,
    pub(crate) provider: Option<Name>,
    pub(crate) source: Option<IpAddr>,
    pub(crate) user_agent: String,
    pub(crate) expires_unix: u64,
    pub(crate) idle_s: u32,
    pub(crate) persistent: bool,
    /// Last use, as far as it was written down.
    pub(crate) seen_unix: u64,
    /// How likely it was then that it was somebody else.
    pub(crate) risk: Risk,
    /// The device that was shown.
    pub(crate) device: Option<DeviceId>,
    /// What the provider said of the device.
    pub(crate) claimed_device: DeviceState,
}

/// What can be asked about sessions.
pub(crate) trait Sessions {
    /// A session by id.
    fn session(&mut self, id: SessionId) -> Result<Option<StoredSession>, StoreError>;

    /// A session by what its browser has.
    fn session_of_browser(&mut self, browser: &[u8; 32]) -> Result<Option<StoredSession>, StoreError>;

    /// The sessions of a user, or of all users of a tenant, those that were begun last first, at most `limit`.
    fn sessions(
        &mut self,
        tenant: TenantId,
        user: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<StoredSession>, StoreError>;

    /// Every session's id, user and device.
    fn session_users(&mut self) -> Result<Vec<(SessionId, UserId, Option<DeviceId>)>, StoreError>;

    /// Sessions that are over: past their end, or not used for too long.
    fn sessions_over(&mut self, now_unix: u64, limit: u32) -> Result<Vec<SessionId>, StoreError>;
}

/// A change to sessions.
#[derive(Debug)]
pub(crate) enum SessionChange {
    Put(Box<StoredSession>),
    Removed(SessionId),
    /// A provider says this about it.
    OfProvider(SessionId, ProviderSession),
    /// What a provider says about the second is said about the first from now on, which takes its place.
    Inherits(SessionId, SessionId),
    /// It was used then. Nothing happens when it is gone, or was used later.
    Seen(SessionId, u64),
}
