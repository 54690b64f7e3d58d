//! Terms of use in the store: every version of their texts, and who accepted which.

use postern_model::directory::{Line, LoginName};
use postern_model::ids::{Name, TenantId, UserId};
use postern_model::terms::{AcceptedTerms, TERMS_TITLE_BYTES_MAX, TermsFormat, TermsText};

use super::StoreError;

/// What can be asked about terms of use.
pub(crate) trait Terms {
    /// A tenant's terms, by name.
    fn terms(&mut self, tenant: TenantId) -> Result<Vec<StoredTerms>, StoreError>;

    /// Terms by name, with one version's text; the one that is shown unless one is named.
    fn terms_version(
        &mut self,
        tenant: TenantId,
        name: &Name,
        version: Option<u32>,
    ) -> Result<Option<(StoredTerms, TermsVersion)>, StoreError>;

    /// What a user accepted, as far as it counts or counted.
    fn accepted_terms(&mut self, user: UserId) -> Result<AcceptedTerms, StoreError>;

    /// Whether a user accepted any version, whether that counts or not.
    fn accepted_once(&mut self, user: UserId, name: &Name) -> Result<bool, StoreError>;

    /// Who accepted what of one, by users' numbers above `after`; a user's newest version last.
    fn acceptances(
        &mut self,
        tenant: TenantId,
        name: &Name,
        after: u32,
        limit: u32,
    ) -> Result<Vec<Acceptance>, StoreError>;
}

/// Terms, without what they say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredTerms {
    pub(crate) tenant: TenantId,
    pub(crate) name: Name,
    /// The newest version: what is shown.
    pub(crate) version: u32,
    /// Whoever accepted this one or a later one is not asked.
    pub(crate) again_from: u32,
    pub(crate) every_s: Option<u32>,
}

/// What one version says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TermsVersion {
    pub(crate) version: u32,
    pub(crate) title: Line<TERMS_TITLE_BYTES_MAX>,
    pub(crate) format: TermsFormat,
    pub(crate) text: TermsText,
    pub(crate) made_unix: u64,
}

/// A user accepted a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Acceptance {
    pub(crate) user: UserId,
    pub(crate) login: LoginName,
    pub(crate) version: u32,
    pub(crate) accepted_unix: u64,
}

/// A change to terms of use.
#[derive(Debug)]
pub(crate) enum TermsChange {
    /// Made, or changed: with the text of the version, where that is new.
    Put(StoredTerms, Option<Box<TermsVersion>>),
    /// With all its texts, and who accepted them.
    Removed(TenantId, Name),
    /// A user accepted a version, at a time. Fails where either is gone.
    Accepted(UserId, Name, u32, u64),
}

impl StoredTerms {
    /// Whether an acceptance counts.
    pub(crate) fn counts(&self, version: u32, accepted_unix: u64, now_unix: u64) -> bool {
        version >= self.again_from && self.until(accepted_unix).is_none_or(|until| now_unix < until)
    }

    /// Until when one does that was given then.
    pub(crate) fn until(&self, accepted_unix: u64) -> Option<u64> {
        self.every_s.map(|every_s| accepted_unix.saturating_add(every_s.into()))
    }
}
