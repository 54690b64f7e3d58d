//! External identity providers in the store, and who is whose user.

use std::collections::{BTreeMap, BTreeSet};

use postern_model::external::ProviderSettings;
use postern_model::ids::{Name, SessionId, TenantId, UserGroupId, UserId};
use postern_model::negotiate::KerberosSignIn;
use postern_model::secret::SecretText;

use super::StoreError;

/// A provider as control keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredProvider {
    pub(crate) tenant: TenantId,
    pub(crate) name: Name,
    pub(crate) settings: ProviderSettings,
    /// By the provider's name for it, the group that its claim fills.
    pub(crate) groups: BTreeMap<String, UserGroupId>,
}

/// What a provider says about a session of ours, so that it can end it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProviderSession {
    pub(crate) tenant: TenantId,
    pub(crate) provider: Name,
    pub(crate) subject: String,
    pub(crate) sid: Option<String>,
}

/// What can be asked about providers.
pub(crate) trait Providers {
    /// A provider.
    fn provider(&mut self, tenant: TenantId, name: &Name) -> Result<Option<StoredProvider>, StoreError>;

    /// A tenant's, or, without one, all, by name.
    fn providers(&mut self, tenant: Option<TenantId>) -> Result<Vec<StoredProvider>, StoreError>;

    /// What proves to it that we are its client.
    fn provider_secret(&mut self, tenant: TenantId, name: &Name) -> Result<Option<SecretText>, StoreError>;

    /// Who a provider's user is here.
    fn linked(&mut self, tenant: TenantId, provider: &Name, subject: &str) -> Result<Option<UserId>, StoreError>;

    /// How many users are linked with it.
    fn linked_count(&mut self, tenant: TenantId, provider: &Name) -> Result<u32, StoreError>;

    /// The groups that a user is in because providers say so, each with which.
    fn provider_groups(&mut self, user: UserId) -> Result<BTreeSet<(UserGroupId, Name)>, StoreError>;

    /// Sessions that came of a provider's session, or of its user, or of it at all. Where both are given, sessions of the user
    /// count too of which it did not say what it calls them.
    fn sessions_of_provider(
        &mut self,
        tenant: TenantId,
        provider: &Name,
        subject: Option<&str>,
        sid: Option<&str>,
    ) -> Result<Vec<SessionId>, StoreError>;
}

/// A change to providers. What is removed takes along what refers to it.
#[derive(Debug)]
pub(crate) enum ProviderChange {
    Put(Box<StoredProvider>),
    SecretPut(TenantId, Name, SecretText),
    /// Whoever is in a group only because it said so leaves it.
    Removed(TenantId, Name),
    Linked(Name, String, UserId),
    Unlinked(Name, String, UserId),
    /// The user, who is in the group, is there because the provider says so.
    Claimed(UserGroupId, UserId, Name),
    /// Whose Kerberos tickets sign a tenant's users in; nothing: nobody's.
    Kerberos(TenantId, Option<Box<KerberosSignIn>>),
    Unclaimed(UserGroupId, UserId, Name),
}
