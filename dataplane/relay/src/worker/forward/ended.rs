//! How an attempt ended, for the client and for the connector.

use postern_tunnel::{Cancel, CancelCode, Culprit};

use super::super::reject::Reject;

/// Why an attempt's pumping stopped.
pub(super) enum Ended {
    Complete,
    /// A WebSocket's client was told good-bye; the application has not answered that.
    Left,
    Cancelled(Cancel),
    Lost {
        sent_nothing: bool,
    },
    Refused(Reject),
    /// The permit was taken back.
    Revoked(Reject),
    Broken,
    ClientGone,
}

impl Ended {
    /// What the connector is told.
    pub(super) fn cancel(&self) -> Cancel {
        match self {
            Self::ClientGone => Cancel::new(Culprit::Client, CancelCode::GONE),
            Self::Refused(_) => Cancel::new(Culprit::Client, CancelCode::TIMEOUT),
            Self::Revoked(_) => Cancel::new(Culprit::Relay, CancelCode::REVOKED),
            Self::Broken => Cancel::new(Culprit::Connector, CancelCode::BROKEN),
            Self::Complete | Self::Left | Self::Cancelled(_) | Self::Lost { .. } => {
                Cancel::new(Culprit::Relay, CancelCode::UNWANTED)
            }
        }
    }
}
