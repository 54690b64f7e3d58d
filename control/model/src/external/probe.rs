//! Whether a provider could be signed in by: an operator asks control, an identity process finds out.

use serde::{Deserialize, Serialize};

use super::ProviderGrant;
use crate::identity::Refused;
use crate::ids::{Name, TenantId};

/// What an operator wants to know. Asked every few seconds, answered by [`Probes`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskProbes {}

/// Providers to ask for their description and keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probes {
    /// Usually none.
    pub items: Vec<ProviderGrant>,
}

/// What came of it. Answered by [`Kept`](super::Kept): whether anybody waited for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probed {
    /// Whose provider.
    pub tenant: TenantId,
    /// Which.
    pub provider: Name,
    /// Why nobody could sign in by it; `None`: they could.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<Refused>,
}
