//! Identity processes, and those that read a directory, on their way to control: bytes in both directions, unread. What they say is encrypted for control.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use postern_model::ids::ConnectorId;
use postern_model::link::{PIPE_BYTES_MAX, ToControl};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::limits::{PIPE_IDLE_MAX, PIPE_PIECES_MAX, PIPES_EACH_MAX, PIPES_MAX};

/// The open pipes. Shared by their tasks and the side loop.
#[derive(Debug, Default)]
pub(crate) struct Pipes {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    link: Option<mpsc::Sender<ToControl>>,
    last_id: u64,
    /// With whose they are.
    open: BTreeMap<u64, (ConnectorId, mpsc::Sender<Bytes>)>,
}

/// Forgets a pipe and tells control when its task ends.
struct Open<'a> {
    pipes: &'a Pipes,
    id: u64,
}

impl Pipes {
    /// The link came up, or went down: pipes of the one before end.
    pub(crate) fn link(&self, link: Option<mpsc::Sender<ToControl>>) {
        let mut inner = self.lock();
        inner.link = link;
        inner.open.clear();
    }

    /// Bytes from control. A process that does not read loses its pipe.
    pub(crate) fn data(&self, id: u64, data: &str) {
        let mut inner = self.lock();
        let Some((_, pipe)) = inner.open.get(&id) else { return };
        let bytes = STANDARD.decode(data).ok().filter(|bytes| bytes.len() <= PIPE_BYTES_MAX);
        let sent = bytes.is_some_and(|bytes| pipe.try_send(Bytes::from(bytes)).is_ok());
        if !sent {
            inner.open.remove(&id);
        }
    }

    /// Control has nothing more to say.
    pub(crate) fn closed(&self, id: u64) {
        self.lock().open.remove(&id);
    }

    fn open(&self, connector: ConnectorId) -> Option<(Open<'_>, mpsc::Sender<ToControl>, mpsc::Receiver<Bytes>)> {
        let mut inner = self.lock();
        let link = inner.link.clone()?;
        // One process cannot keep the others out.
        let own = inner.open.values().filter(|(of, _)| *of == connector).count();
        if inner.open.len() >= PIPES_MAX || own >= PIPES_EACH_MAX {
            return None;
        }
        inner.last_id += 1;
        let id = inner.last_id;
        link.try_send(ToControl::PipeOpened { pipe: id, connector }).ok()?;
        let (sender, receiver) = mpsc::channel(PIPE_PIECES_MAX);
        inner.open.insert(id, (connector, sender));
        Some((Open { pipes: self, id }, link, receiver))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let mut inner = self.pipes.lock();
        inner.open.remove(&self.id);
        if let Some(link) = &inner.link {
            // Of a link that is full control finds out when it is read.
            let _ = link.try_send(ToControl::PipeClosed { pipe: self.id });
        }
    }
}

/// One identity process's connection, after its TLS handshake.
pub(crate) async fn serve(
    stream: impl AsyncRead + AsyncWrite,
    connector: ConnectorId,
    pipes: Arc<Pipes>,
) -> io::Result<()> {
    let Some((open, link, from_control)) = pipes.open(connector) else {
        return Err(io::Error::other("control is not linked, or too many identity processes are connected"));
    };
    let (reader, writer) = tokio::io::split(stream);
    tokio::select! {
        ended = inwards(open.id, reader, link) => ended,
        ended = outwards(writer, from_control) => ended,
    }
}

/// Waits while the link is busy: the process waits then, too.
async fn inwards(pipe: u64, mut reader: impl AsyncRead + Unpin, link: mpsc::Sender<ToControl>) -> io::Result<()> {
    let mut buffer = vec![0; PIPE_BYTES_MAX];
    loop {
        let read = timeout(PIPE_IDLE_MAX, reader.read(&mut buffer)).await;
        let length = read.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        if length == 0 {
            return Ok(());
        }
        let data = STANDARD.encode(&buffer[..length]);
        if link.send(ToControl::PipeData { pipe, data }).await.is_err() {
            return Ok(());
        }
    }
}

async fn outwards(mut writer: impl AsyncWrite + Unpin, mut from_control: mpsc::Receiver<Bytes>) -> io::Result<()> {
    while let Some(bytes) = from_control.recv().await {
        let written = timeout(PIPE_IDLE_MAX, async {
            writer.write_all(&bytes).await?;
            writer.flush().await
        });
        written.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    }
    writer.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_pass_both_ways_and_each_end_is_told() {
        let pipes = Arc::new(Pipes::default());
        let (link, mut at_control) = mpsc::channel(8);
        pipes.link(Some(link));
        let (mut process, relay) = tokio::io::duplex(1024);
        let served = tokio::spawn(serve(relay, "c1-9".parse().unwrap(), Arc::clone(&pipes)));
        let Some(ToControl::PipeOpened { pipe, .. }) = at_control.recv().await else { panic!("opened") };
        process.write_all(b"hello").await.unwrap();
        let Some(ToControl::PipeData { data, .. }) = at_control.recv().await else { panic!("data") };
        assert_eq!(STANDARD.decode(data).unwrap(), b"hello");
        pipes.data(pipe, &STANDARD.encode("welcome"));
        let mut bytes = [0; 7];
        process.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"welcome");
        pipes.data(pipe + 1, "nobody's");
        drop(process);
        assert!(matches!(at_control.recv().await, Some(ToControl::PipeClosed { .. })));
        served.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn what_control_closes_ends_and_what_is_malformed_too() {
        for end in [|pipes: &Pipes, pipe| pipes.closed(pipe), |pipes: &Pipes, pipe| pipes.data(pipe, "not base64!")] {
            let pipes = Arc::new(Pipes::default());
            let (link, mut at_control) = mpsc::channel(8);
            pipes.link(Some(link));
            let (mut process, relay) = tokio::io::duplex(1024);
            let served = tokio::spawn(serve(relay, "c1-9".parse().unwrap(), Arc::clone(&pipes)));
            let Some(ToControl::PipeOpened { pipe, .. }) = at_control.recv().await else { panic!("opened") };
            end(&pipes, pipe);
            assert_eq!(process.read(&mut [0; 1]).await.unwrap(), 0);
            served.await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn one_process_leaves_places_for_others() {
        let pipes = Pipes::default();
        let (link, _at_control) = mpsc::channel(64);
        pipes.link(Some(link));
        let open = |connector: &str| pipes.open(connector.parse().unwrap());
        let own: Vec<_> = (0..PIPES_EACH_MAX).map(|_| open("c1-9").unwrap()).collect();
        assert!(open("c1-9").is_none() && open("c1-8").is_some());
        drop(own);
        assert!(open("c1-9").is_some());
    }

    #[tokio::test]
    async fn without_a_link_nobody_is_served() {
        let pipes = Arc::new(Pipes::default());
        let (_process, relay) = tokio::io::duplex(1024);
        assert!(serve(relay, "c1-9".parse().unwrap(), pipes).await.is_err());
    }
}
