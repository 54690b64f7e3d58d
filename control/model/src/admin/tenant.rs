//! What is set for a whole tenant.

use serde::{Deserialize, Serialize};

use crate::secret::SecretText;

/// `tenant set --app-suffix`: below what name each application has one of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetAppSuffix {
    /// `apps.example.net`: the application `crm` is at `crm.apps.example.net`, too.
    pub app_suffix: String,
    /// Certificate chain for `*.SUFFIX`, PEM, in any order; together with `key_pem`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_pem: Option<String>,
    /// Its key, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_pem: Option<SecretText>,
}
