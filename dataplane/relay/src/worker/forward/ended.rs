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
    /// What the connector is told: what concerns it. Which bound of the application's was exceeded, and by whom, it neither needs
    /// nor is to tell anyone.
    pub(super) fn cancel(&self) -> Cancel {
        match self {
            Self::ClientGone => Cancel::new(Culprit::Client, CancelCode::GONE),
            Self::Revoked(_) => Cancel::new(Culprit::Relay, CancelCode::REVOKED),
            Self::Broken => Cancel::new(Culprit::Connector, CancelCode::BROKEN),
            Self::Refused(_) | Self::Complete | Self::Left | Self::Cancelled(_) | Self::Lost { .. } => {
                Cancel::new(Culprit::Relay, CancelCode::UNWANTED)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_bound_was_exceeded_is_not_told() {
        for reject in [
            Reject::body_too_large(1),
            Reject::answer_head_too_large(),
            Reject::total_timeout(),
            Reject::backend_timeout(),
            Reject::request_timeout(),
        ] {
            let told = Ended::Refused(reject).cancel();
            assert_eq!((told.culprit, told.code), (Culprit::Relay, CancelCode::UNWANTED));
        }
    }
}
