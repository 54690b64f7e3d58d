//! Clients of the OpenID provider in the store, and what they were granted.

use postern_model::ids::{ClientId, Name, SessionId, TenantId, UserId};
use postern_model::oauth::{ClientSettings, Scopes};

use super::StoreError;

/// A client as control keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredClient {
    pub(crate) id: ClientId,
    pub(crate) name: Name,
    pub(crate) settings: ClientSettings,
    /// SHA-256 of its secret; a public one has none.
    pub(crate) secret: Option<[u8; 32]>,
}

/// What a client was granted in a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredGrant {
    pub(crate) id: [u8; 16],
    pub(crate) session: SessionId,
    pub(crate) client: ClientId,
    pub(crate) scopes: Scopes,
    /// SHA-256 of the only refresh token that is good.
    pub(crate) refresh: [u8; 32],
    pub(crate) used_unix: u64,
}

/// What can be asked.
pub(crate) trait Clients {
    /// A client.
    fn client(&mut self, id: ClientId) -> Result<Option<StoredClient>, StoreError>;

    /// A tenant's, by name.
    fn clients(&mut self, tenant: TenantId) -> Result<Vec<StoredClient>, StoreError>;

    /// How many grants a client holds.
    fn grants_of(&mut self, client: ClientId) -> Result<u32, StoreError>;

    /// A grant.
    fn grant(&mut self, id: &[u8; 16]) -> Result<Option<StoredGrant>, StoreError>;

    /// What a user agreed that a client gets.
    fn consented(&mut self, user: UserId, client: ClientId) -> Result<Option<Scopes>, StoreError>;
}

/// A change to them. A client that is removed takes along its grants and what users agreed to.
#[derive(Debug)]
pub(crate) enum ClientChange {
    Put(Box<StoredClient>),
    Removed(ClientId),
    /// A new grant. The session keeps so many, those that were used last.
    Granted(Box<StoredGrant>, u32),
    /// The refresh token of the first hash was used: it fails where another is good.
    Refreshed {
        id: [u8; 16],
        from: [u8; 32],
        to: [u8; 32],
        at_unix: u64,
    },
    GrantEnded([u8; 16]),
    /// All of a client end.
    GrantsEnded(ClientId),
    Consented(UserId, ClientId, Scopes),
    /// What users agreed to counts no more: the client asks for something else.
    ConsentsForgotten(ClientId),
}
