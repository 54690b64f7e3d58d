//! An answer whose content is translated on its way to the tunnel: no faster than the client takes it, and piece by piece.

use bytes::Bytes;
use postern_http::ResponseHead;
use postern_io::yield_now;
use postern_translate::Progress;

use super::{Asked, Exchange};
use crate::content::{self, Outwards, Translation};
use crate::failure::Failed;
use crate::limits::TRANSLATED_STEPS_PER_TURN;
use crate::pool::Pool;

impl Exchange {
    /// Changes the head of an answer whose content is translated, and begins with that.
    pub(super) fn translation(
        &self,
        head: &mut ResponseHead,
        asked: &Asked,
        pool: &Pool,
    ) -> Result<Option<Box<Translation>>, Failed> {
        let Some(content) = &asked.content else { return Ok(None) };
        let links = || Outwards {
            backend: pool.backend.clone(),
            external: asked.external.clone(),
            links: self.tunnel.worker.links(),
        };
        content::response(head, content, &asked.method, links)
    }

    /// Sends what a piece of content becomes.
    pub(super) async fn send_translated(&self, translation: &mut Translation, content: &[u8]) -> Result<(), Failed> {
        let mut content = content;
        for step in 1_usize.. {
            let (piece, progress) = translation.push(&mut content)?;
            if !piece.is_empty() {
                self.send(piece, false).await?;
            }
            if progress == Progress::Hungry {
                break;
            }
            // A small piece may expand to much: others get their turn.
            if step.is_multiple_of(TRANSLATED_STEPS_PER_TURN) {
                yield_now().await;
            }
        }
        Ok(())
    }

    /// Sends what is left of it, and the end unless trailers follow.
    pub(super) async fn finish_translated(&self, translation: &mut Translation, end: bool) -> Result<(), Failed> {
        let rest = translation.finish()?;
        if !rest.is_empty() {
            return self.send(rest, end).await;
        }
        if end { self.tunnel.end(self.stream).map_err(Failed::sending) } else { Ok(()) }
    }

    /// The same for content that may be translated; `last` says that this is its last piece.
    pub(super) async fn send_content(
        &self,
        translation: Option<&mut Translation>,
        content: Bytes,
        last: bool,
    ) -> Result<(), Failed> {
        let Some(translation) = translation else { return self.send(content, last).await };
        self.send_translated(translation, &content).await?;
        if last { self.finish_translated(translation, true).await } else { Ok(()) }
    }
}
