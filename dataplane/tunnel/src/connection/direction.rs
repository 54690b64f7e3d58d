//! Which end may send which kind of frame.

use super::Connection;
use crate::error::PeerMisbehaved;
use crate::frame::FrameKind;
use crate::message::hello::Role;

impl Connection {
    pub(super) fn check_direction(&self, kind: FrameKind) -> Result<(), PeerMisbehaved> {
        let receiver = match kind {
            FrameKind::Open
            | FrameKind::Config
            | FrameKind::Revoke
            | FrameKind::LaneRequest
            | FrameKind::Generation
            | FrameKind::Check => Role::Connector,
            FrameKind::Head
            | FrameKind::Informational
            | FrameKind::Upgrade
            | FrameKind::Timing
            | FrameKind::Status
            | FrameKind::CheckAnswer => Role::Relay,
            FrameKind::Hello
            | FrameKind::Data
            | FrameKind::Trailers
            | FrameKind::Cancel
            | FrameKind::Credit
            | FrameKind::Probe
            | FrameKind::ProbeReply
            | FrameKind::GoAway => return Ok(()),
        };
        if receiver == self.role {
            return Ok(());
        }
        Err(PeerMisbehaved::WrongDirection { kind })
    }
}
