//! Forwards enrolments: one request from a connector, unread, over the link to control, and control's reply back. What
//! proves the connector's right is not for a relay to see.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use postern_model::enrol::{EnrolError, EnrolResponse, MESSAGE_BYTES_MAX, code};
use postern_model::frame::PREFIX_BYTES;
use postern_model::link::ToControl;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{mpsc, oneshot};

/// Pairs requests with replies. Shared by the enrolments in progress and the side loop.
#[derive(Debug, Default)]
pub(crate) struct EnrolDesk {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    link: Option<mpsc::Sender<ToControl>>,
    last_id: u64,
    waiting: BTreeMap<u64, oneshot::Sender<String>>,
}

impl EnrolDesk {
    /// The link came up, or went down: then nobody waits any longer.
    pub(crate) fn link(&self, link: Option<mpsc::Sender<ToControl>>) {
        let mut inner = self.lock();
        inner.link = link;
        inner.waiting.clear();
    }

    /// Control's reply has come.
    pub(crate) fn reply(&self, id: u64, body: String) {
        if let Some(waiting) = self.lock().waiting.remove(&id) {
            // The connector may have gone.
            let _ = waiting.send(body);
        }
    }

    /// Asks control; `None` when it cannot be asked, or does not answer before the link ends.
    async fn ask(&self, body: String) -> Option<String> {
        let (id, reply) = self.post(body)?;
        let _withdrawn = Withdraw { desk: self, id };
        reply.await.ok()
    }

    fn post(&self, body: String) -> Option<(u64, oneshot::Receiver<String>)> {
        let mut inner = self.lock();
        inner.last_id += 1;
        let id = inner.last_id;
        inner.link.as_ref()?.try_send(ToControl::EnrolRequest { id, body }).ok()?;
        let (sender, receiver) = oneshot::channel();
        inner.waiting.insert(id, sender);
        Some((id, receiver))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets a request whose connector has gone or run out of time.
struct Withdraw<'a> {
    desk: &'a EnrolDesk,
    id: u64,
}

impl Drop for Withdraw<'_> {
    fn drop(&mut self) {
        self.desk.lock().waiting.remove(&self.id);
    }
}

/// One connector's enrolment, after its TLS handshake. The caller limits its time.
pub(crate) async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, desk: Arc<EnrolDesk>) -> io::Result<()> {
    let request = read_message(&mut stream).await?;
    let reply = match desk.ask(request).await {
        Some(reply) if reply.len() <= MESSAGE_BYTES_MAX => reply,
        Some(_) | None => unavailable(),
    };
    let length = u32::try_from(reply.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), reply.as_bytes()].concat()).await?;
    stream.shutdown().await
}

async fn read_message(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
    let mut prefix = [0; PREFIX_BYTES];
    stream.read_exact(&mut prefix).await?;
    let length = usize::try_from(u32::from_be_bytes(prefix)).unwrap_or(usize::MAX);
    if length > MESSAGE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "an enrolment request beyond the limit"));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    String::from_utf8(body)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "an enrolment request that is not text"))
}

fn unavailable() -> String {
    let error = EnrolError {
        code: String::from(code::CONTROL_UNAVAILABLE),
        message: String::from("the relay has no link to control now; try again later"),
    };
    serde_json::to_string(&EnrolResponse::Error(error)).expect("plain data with text keys has a JSON form")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::DuplexStream;

    fn framed(body: &str) -> Vec<u8> {
        [&u32::try_from(body.len()).unwrap().to_be_bytes(), body.as_bytes()].concat()
    }

    async fn reply_from(connector: &mut DuplexStream) -> String {
        let mut reply = Vec::new();
        connector.read_to_end(&mut reply).await.unwrap();
        String::from_utf8(reply.split_off(PREFIX_BYTES)).unwrap()
    }

    #[tokio::test]
    async fn a_request_goes_unread_to_control_and_the_reply_back() {
        let desk = Arc::new(EnrolDesk::default());
        let (link, mut at_control) = mpsc::channel(1);
        desk.link(Some(link));
        let (mut connector, relay) = tokio::io::duplex(1024);
        connector.write_all(&framed("opaque")).await.unwrap();
        let control = async {
            let Some(ToControl::EnrolRequest { id, body }) = at_control.recv().await else { panic!("a request") };
            assert_eq!(body, "opaque");
            desk.reply(id + 1, String::from("for somebody else"));
            desk.reply(id, String::from("the reply"));
        };
        let (served, ()) = tokio::join!(serve(relay, Arc::clone(&desk)), control);
        served.unwrap();
        assert_eq!(reply_from(&mut connector).await, "the reply");
        assert!(desk.lock().waiting.is_empty());
    }

    #[tokio::test]
    async fn without_control_the_connector_is_told_so() {
        let desk = Arc::new(EnrolDesk::default());
        let (mut connector, relay) = tokio::io::duplex(1024);
        connector.write_all(&framed("{}")).await.unwrap();
        serve(relay, Arc::clone(&desk)).await.unwrap();
        assert!(reply_from(&mut connector).await.contains("control-unavailable"));

        // The same when the link goes down while control thinks.
        let (link, _at_control) = mpsc::channel(1);
        desk.link(Some(link));
        let (mut connector, relay) = tokio::io::duplex(1024);
        connector.write_all(&framed("{}")).await.unwrap();
        let down = async {
            while desk.lock().waiting.is_empty() {
                tokio::task::yield_now().await;
            }
            desk.link(None);
        };
        let (served, ()) = tokio::join!(serve(relay, Arc::clone(&desk)), down);
        served.unwrap();
        assert!(reply_from(&mut connector).await.contains("control-unavailable"));
    }

    #[tokio::test]
    async fn too_long_is_refused_from_its_prefix_alone() {
        let (mut connector, relay) = tokio::io::duplex(1024);
        let length = u32::try_from(MESSAGE_BYTES_MAX).unwrap() + 1;
        connector.write_all(&length.to_be_bytes()).await.unwrap();
        assert!(serve(relay, Arc::default()).await.is_err());
    }
}
