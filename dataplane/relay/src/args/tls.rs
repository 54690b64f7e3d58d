//! What clients may speak.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// The versions of TLS that clients may speak. Tunnels and control's link are TLS 1.3 whatever it says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TlsPreset {
    /// TLS 1.3 alone.
    Modern,
    /// TLS 1.2 and 1.3; of 1.2 only what has forward secrecy and authenticated encryption.
    #[default]
    Intermediate,
}
