//! A look from where the connector is at one application, asked for by control through the relay. What is asked in detail and what
//! was found are the business of both ends and opaque here.

use bytes::Bytes;
use postern_model::ids::{AppId, TenantId};

use super::Reader;
use crate::error::PeerMisbehaved;
use crate::frame::FrameKind;
use crate::limits::{CONTROL_BYTES_MAX, DATA_BYTES_MAX};

/// Relay to connector: look at an application. It names the application only: where that is, the connector knows by its
/// configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Chosen by the relay, echoed in the answer.
    pub id: u64,
    /// Which application.
    pub app: AppId,
    /// What to look at, at most [`CHECK_BYTES_MAX`].
    pub asked: Bytes,
}

/// Connector to relay: what it found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckAnswer {
    /// The question's.
    pub id: u64,
    /// At most [`CHECK_ANSWER_BYTES_MAX`].
    pub found: Bytes,
}

impl Check {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(CHECK_HEAD_BYTES + self.asked.len());
        out.extend(self.id.to_be_bytes());
        out.extend(self.app.tenant.0.to_be_bytes());
        out.extend(self.app.seq.to_be_bytes());
        out.extend_from_slice(&self.asked);
        out
    }

    pub(crate) fn decode(payload: &[u8]) -> Result<Self, PeerMisbehaved> {
        let mut reader = Reader::new(FrameKind::Check, payload);
        let id = reader.u64("id")?;
        let tenant = TenantId(reader.u32("app")?);
        let app = AppId::new(tenant, reader.u32("app")?);
        Ok(Self { id, app, asked: Bytes::copy_from_slice(reader.rest()) })
    }
}

impl CheckAnswer {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(ANSWER_HEAD_BYTES + self.found.len());
        out.extend(self.id.to_be_bytes());
        out.extend_from_slice(&self.found);
        out
    }

    pub(crate) fn decode(payload: &[u8]) -> Result<Self, PeerMisbehaved> {
        let mut reader = Reader::new(FrameKind::CheckAnswer, payload);
        Ok(Self { id: reader.u64("id")?, found: Bytes::copy_from_slice(reader.rest()) })
    }
}

const CHECK_HEAD_BYTES: usize = 16;
const ANSWER_HEAD_BYTES: usize = 8;
/// The details of one question.
pub const CHECK_BYTES_MAX: usize = CONTROL_BYTES_MAX - CHECK_HEAD_BYTES;
/// What was found.
pub const CHECK_ANSWER_BYTES_MAX: usize = DATA_BYTES_MAX - ANSWER_HEAD_BYTES;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_survive_the_wire_and_cut_ones_are_refused() {
        let check = Check { id: 1 << 40, app: AppId::new(TenantId(2), 7), asked: Bytes::from_static(b"{}") };
        assert_eq!(Check::decode(&check.encode()), Ok(check.clone()));
        assert!(Check::decode(&check.encode()[..15]).is_err());
        let answer = CheckAnswer { id: 9, found: Bytes::from_static(b"[]") };
        assert_eq!(CheckAnswer::decode(&answer.encode()), Ok(answer.clone()));
        assert!(CheckAnswer::decode(&answer.encode()[..7]).is_err());
    }
}
