//! The link to control, once it is open: messages of `postern_model::link` both ways over any stream.

use std::io;

use postern_model::frame::{self, Frames};
use postern_model::link::{TO_CONTROL_BYTES_MAX, TO_RELAY_BYTES_MAX, ToControl, ToRelay};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::limits::{LINK_QUEUE_MAX, LINK_SILENCE_MAX};

/// A stream that a link can run over.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Duplex for T {}

/// An open link. It closes, once what was queued is written, when this and every [`Link::sender`] are dropped.
#[derive(Debug)]
pub(crate) struct Link {
    number: u64,
    outgoing: mpsc::Sender<ToControl>,
}

/// What happens on a link; the number says on which.
#[derive(Debug)]
pub(crate) enum LinkEvent {
    Message(u64, Box<ToRelay>),
    Closed(u64, String),
}

impl Link {
    /// Runs a link over `stream`; `number` tells its events from those of earlier links.
    pub(crate) fn open(number: u64, stream: impl Duplex, events: mpsc::Sender<LinkEvent>) -> Self {
        let (outgoing, queue) = mpsc::channel(LINK_QUEUE_MAX);
        tokio::spawn(async move {
            let reason = run(number, stream, queue, &events).await;
            // Nobody to tell is as good as told.
            let _ = events.send(LinkEvent::Closed(number, reason)).await;
        });
        Self { number, outgoing }
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// A way to send that may outlive the link.
    pub(crate) fn sender(&self) -> mpsc::Sender<ToControl> {
        self.outgoing.clone()
    }

    /// Queues a message; false when the queue is full, and then control is not reading.
    pub(crate) fn send(&self, message: ToControl) -> bool {
        self.outgoing.try_send(message).is_ok()
    }
}

/// Until it ends; says why.
async fn run(
    number: u64,
    stream: impl Duplex,
    queue: mpsc::Receiver<ToControl>,
    events: &mpsc::Sender<LinkEvent>,
) -> String {
    let (reader, writer) = tokio::io::split(stream);
    let ended = tokio::select! {
        ended = read(number, reader, events) => ended,
        ended = write(writer, queue) => ended,
    };
    match ended {
        Ok(()) => String::from("closed"),
        Err(error) => error.to_string(),
    }
}

async fn read(number: u64, mut reader: impl AsyncRead + Unpin, events: &mpsc::Sender<LinkEvent>) -> io::Result<()> {
    let mut frames = Frames::new(TO_RELAY_BYTES_MAX);
    let mut bytes = vec![0; READ_BYTES];
    loop {
        let read = timeout(LINK_SILENCE_MAX, reader.read(&mut bytes)).await;
        let read = read.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "control has been silent"))??;
        if read == 0 {
            return Ok(());
        }
        frames.push(&bytes[..read]);
        while let Some(message) = frames.next_message::<ToRelay>().map_err(io::Error::other)? {
            if events.send(LinkEvent::Message(number, Box::new(message))).await.is_err() {
                return Ok(());
            }
        }
    }
}

async fn write(mut writer: impl AsyncWrite + Unpin, mut queue: mpsc::Receiver<ToControl>) -> io::Result<()> {
    while let Some(message) = queue.recv().await {
        let frame = frame::encode(&message, TO_CONTROL_BYTES_MAX).map_err(io::Error::other)?;
        let written = timeout(LINK_SILENCE_MAX, async {
            writer.write_all(&frame).await?;
            writer.flush().await
        });
        written.await.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "control does not read"))??;
    }
    writer.shutdown().await
}

const READ_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::UnixStream;

    #[tokio::test]
    async fn messages_pass_both_ways_and_the_end_is_told() {
        let (here, mut control) = UnixStream::pair().unwrap();
        let (events, mut happened) = mpsc::channel(8);
        let link = Link::open(7, here, events);
        assert!(link.send(ToControl::Pong { n: 3 }));
        let mut frames = Frames::new(1000);
        let mut bytes = [0; 100];
        let read = control.read(&mut bytes).await.unwrap();
        frames.push(&bytes[..read]);
        assert_eq!(frames.next_message::<ToControl>().unwrap(), Some(ToControl::Pong { n: 3 }));

        // In pieces, two at once.
        let ping = [
            frame::encode(&ToRelay::Ping { n: 1 }, 1000).unwrap(),
            frame::encode(&ToRelay::Ping { n: 2 }, 1000).unwrap(),
        ]
        .concat();
        for piece in ping.chunks(5) {
            control.write_all(piece).await.unwrap();
        }
        for n in 1..=2 {
            let Some(LinkEvent::Message(7, message)) = happened.recv().await else { panic!("a message of link 7") };
            assert_eq!(*message, ToRelay::Ping { n });
        }
        drop(control);
        assert!(matches!(happened.recv().await, Some(LinkEvent::Closed(7, _))));
    }

    #[tokio::test]
    async fn what_was_queued_is_written_before_the_link_closes() {
        let (here, mut control) = UnixStream::pair().unwrap();
        let (events, _happened) = mpsc::channel(8);
        let link = Link::open(1, here, events);
        link.send(ToControl::Pong { n: 9 });
        drop(link);
        let mut bytes = Vec::new();
        control.read_to_end(&mut bytes).await.unwrap();
        assert_eq!(bytes, frame::encode(&ToControl::Pong { n: 9 }, 1000).unwrap());
    }

    #[tokio::test]
    async fn a_message_beyond_the_limit_ends_the_link() {
        let (here, mut control) = UnixStream::pair().unwrap();
        let (events, mut happened) = mpsc::channel(8);
        let _link = Link::open(1, here, events);
        control.write_all(&u32::MAX.to_be_bytes()).await.unwrap();
        let Some(LinkEvent::Closed(1, reason)) = happened.recv().await else { panic!("the link ends") };
        assert!(reason.contains("exceeds the limit"), "{reason}");
    }
}
