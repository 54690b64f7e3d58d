//! Why a configuration cannot be served.

use crate::app_url::UrlInvalid;
use crate::ids::{CertificateId, Name};
use crate::settings::SettingInvalid;
use crate::snapshot::DeltaError;

/// Why a snapshot cannot be served. Names the object, so that an operator finds it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigInvalid {
    /// An external or internal URL.
    #[error("{app}: {error}")]
    Url {
        /// The application's name.
        app: Name,
        /// What is wrong.
        error: UrlInvalid,
    },
    /// An application that asks who its users are, at a plain URL.
    #[error(
        "{app}: {url} is plain text: with --preauth oidc users are known by cookies that travel by TLS alone; write https://"
    )]
    PlainText {
        /// The application's name.
        app: Name,
        /// Its external URL.
        url: String,
    },
    /// A setting.
    #[error("{app}: {error}")]
    Setting {
        /// The application's name.
        app: Name,
        /// What is wrong.
        error: SettingInvalid,
    },
    /// Two applications at the same place.
    #[error("{url} is already published as {other}")]
    Conflict {
        /// The later one.
        app: Name,
        /// Its external URL.
        url: String,
        /// Who has it.
        other: Name,
    },
    /// A certificate or key that cannot be read.
    #[error("certificate {id}: {reason}")]
    Certificate {
        /// Which.
        id: CertificateId,
        /// What is wrong.
        reason: &'static str,
    },
    /// It refers to something that is not there.
    #[error("{app}: {missing} does not exist")]
    Missing {
        /// The application's name.
        app: Name,
        /// What it refers to.
        missing: String,
    },
    /// The snapshot needs a newer version.
    #[error(transparent)]
    Snapshot(#[from] DeltaError),
}
