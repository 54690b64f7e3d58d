//! The link's messages over its byte stream.

use postern_model::frame::{self, FrameInvalid, Frames};
use postern_model::link::{Hello, TO_RELAY_BYTES_MAX, ToControl, ToRelay};
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use super::LinkEnded;
use super::admit::Denied;
use crate::limits::{LINK_READ_BYTES, LINK_WRITE_TIMEOUT};

/// Messages over a byte stream.
pub(super) struct Wire<R, W> {
    pub(super) reader: R,
    pub(super) writer: W,
    pub(super) frames: Frames,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Wire<R, W> {
    pub(super) async fn hello(&mut self) -> Result<Hello, LinkEnded> {
        match self.receive().await? {
            ToControl::Hello(hello) => Ok(hello),
            ToControl::Applied { .. }
            | ToControl::Rejected { .. }
            | ToControl::Status(_)
            | ToControl::EnrolRequest { .. }
            | ToControl::Answer { .. }
            | ToControl::Pong { .. }
            | ToControl::Call { .. }
            | ToControl::SessionsHeld { .. }
            | ToControl::SessionsSeen { .. }
            | ToControl::SessionsApplied { .. }
            | ToControl::PipeOpened { .. }
            | ToControl::PipeData { .. }
            | ToControl::PipeClosed { .. }
            | ToControl::Unknown => Err(FrameInvalid::Malformed("the first message is not Hello".into()).into()),
        }
    }

    /// The next message. Cancel-safe: what was read stays in `frames`.
    pub(super) async fn receive(&mut self) -> Result<ToControl, LinkEnded> {
        loop {
            if let Some(message) = self.frames.next_message()? {
                return Ok(message);
            }
            let mut buffer = [0; LINK_READ_BYTES];
            let read = self.reader.read(&mut buffer).await?;
            if read == 0 {
                return Err(LinkEnded::Closed);
            }
            self.frames.push(&buffer[..read]);
        }
    }

    /// Says so to the relay.
    pub(super) async fn refuse(&mut self, Denied { reason, removed }: Denied) -> LinkEnded {
        match self.send(&ToRelay::Refused { reason: reason.clone(), removed }).await {
            Ok(()) if removed => LinkEnded::Removed(reason),
            Err(ended) if removed => ended, // it does not know yet
            Ok(()) | Err(_) => LinkEnded::Refused(reason),
        }
    }

    pub(super) async fn send<T: Serialize>(&mut self, message: &T) -> Result<(), LinkEnded> {
        let bytes =
            frame::encode(message, TO_RELAY_BYTES_MAX).map_err(|error| LinkEnded::Internal(error.to_string()))?;
        self.write(&bytes).await
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), LinkEnded> {
        let written = async {
            self.writer.write_all(bytes).await?;
            self.writer.flush().await
        };
        match timeout(LINK_WRITE_TIMEOUT, written).await {
            Ok(written) => Ok(written?),
            Err(_) => Err(LinkEnded::Silent("reading")),
        }
    }
}
