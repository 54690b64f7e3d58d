//! The channel between supervisor and dataplane: one JSON message per packet of a `SOCK_SEQPACKET` pair, descriptors beside
//! it (`SCM_RIGHTS`). It lives as long as both processes: the end of one is the end of file for the other.

mod drops;

pub(crate) use drops::{DropRequests, SourceDrops};

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::Interest;
use tokio::net::UnixDatagram;

use crate::limits::{DESCRIPTORS_PER_MESSAGE, HANDOVER_BYTES_MAX};

/// One end, blocking: what the dataplane starts with.
#[derive(Debug)]
pub(crate) struct Channel {
    socket: OwnedFd,
}

/// A message and the descriptors that came with it.
#[derive(Debug)]
pub(crate) struct Received<T> {
    pub(crate) message: T,
    pub(crate) descriptors: Vec<OwnedFd>,
}

impl Channel {
    /// Both ends; neither survives an `exec` by itself.
    pub(crate) fn pair() -> io::Result<(Self, Self)> {
        let (one, other) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self { socket: one }, Self { socket: other }))
    }

    /// An end that was inherited.
    pub(crate) fn from_inherited(socket: OwnedFd) -> Self {
        Self { socket }
    }

    /// The descriptor, to pass on to a child.
    pub(crate) fn into_inner(self) -> OwnedFd {
        self.socket
    }

    /// Waits for a message; `None` when the other process has ended.
    pub(crate) fn receive<T: DeserializeOwned>(&self) -> io::Result<Option<Received<T>>> {
        receive(self.socket.as_fd(), RecvFlags::empty())
    }

    /// Sends a message, waiting for room.
    pub(crate) fn send<T: Serialize>(&self, message: &T, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        send(self.socket.as_fd(), &encode(message)?, descriptors)
    }
}

/// One end within a tokio runtime. tokio knows no type for packets over a connection; the one for datagrams only has to
/// say when the socket is ready.
#[derive(Debug)]
pub(crate) struct AsyncChannel {
    socket: UnixDatagram,
}

impl AsyncChannel {
    /// Makes the end non-blocking; call it within a runtime.
    pub(crate) fn new(channel: Channel) -> io::Result<Self> {
        let socket = std::os::unix::net::UnixDatagram::from(channel.socket);
        socket.set_nonblocking(true)?;
        Ok(Self { socket: UnixDatagram::from_std(socket)? })
    }

    /// Waits for a message; `None` when the other process has ended. Cancel-safe.
    pub(crate) async fn receive<T: DeserializeOwned>(&self) -> io::Result<Option<Received<T>>> {
        self.socket.async_io(Interest::READABLE, || receive(self.socket.as_fd(), RecvFlags::DONTWAIT)).await
    }

    /// Sends a message, waiting for room. Cancel-safe: sent wholly or not at all.
    pub(crate) async fn send<T: Serialize>(&self, message: &T, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let packet = encode(message)?;
        self.socket.async_io(Interest::WRITABLE, || send(self.socket.as_fd(), &packet, descriptors)).await
    }
}

fn encode<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let packet = serde_json::to_vec(message)?;
    if packet.len() > HANDOVER_BYTES_MAX {
        return Err(io::Error::other(format!("a message of {} bytes between the processes", packet.len())));
    }
    Ok(packet)
}

fn send(socket: BorrowedFd<'_>, packet: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    if descriptors.len() > DESCRIPTORS_PER_MESSAGE {
        return Err(io::Error::other(format!("{} descriptors in one message", descriptors.len())));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_PER_MESSAGE))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(
        descriptors.is_empty() || control.push(SendAncillaryMessage::ScmRights(descriptors)),
        "the space is for that many"
    );
    rustix::io::retry_on_intr(|| {
        rustix::net::sendmsg(socket, &[IoSlice::new(packet)], &mut control, SendFlags::NOSIGNAL)
    })?;
    Ok(())
}

fn receive<T: DeserializeOwned>(socket: BorrowedFd<'_>, flags: RecvFlags) -> io::Result<Option<Received<T>>> {
    let mut packet = vec![0; HANDOVER_BYTES_MAX];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_PER_MESSAGE))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::io::retry_on_intr(|| {
        rustix::net::recvmsg(socket, &mut [IoSliceMut::new(&mut packet)], &mut control, flags | RecvFlags::CMSG_CLOEXEC)
    })?;
    let descriptors = descriptors_in(&mut control);
    if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(io::Error::other("a message between the processes arrived cut: is the descriptor limit too low?"));
    }
    if received.bytes == 0 {
        return Ok(None);
    }
    let message = serde_json::from_slice(&packet[..received.bytes])?;
    Ok(Some(Received { message, descriptors }))
}

fn descriptors_in(control: &mut RecvAncillaryBuffer<'_>) -> Vec<OwnedFd> {
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            descriptors.extend(received);
        }
    }
    descriptors
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    #[test]
    fn descriptors_arrive_with_their_message_and_work() {
        let (here, there) = Channel::pair().unwrap();
        let (mut kept, passed) = UnixStream::pair().unwrap();
        here.send(&"take this", &[passed.as_fd()]).unwrap();
        drop(passed);
        let received: Received<String> = there.receive().unwrap().unwrap();
        assert_eq!(received.message, "take this");
        let [descriptor] = <[OwnedFd; 1]>::try_from(received.descriptors).unwrap();
        assert!(rustix::io::fcntl_getfd(&descriptor).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
        UnixStream::from(descriptor).write_all(b"!").unwrap();
        let mut read = String::new();
        kept.read_to_string(&mut read).unwrap();
        assert_eq!(read, "!");
    }

    #[test]
    fn the_largest_batch_fits_and_a_larger_one_is_refused() {
        let (here, there) = Channel::pair().unwrap();
        let (one, _other) = UnixStream::pair().unwrap();
        let mut batch = vec![one.as_fd(); DESCRIPTORS_PER_MESSAGE];
        here.send(&1, &batch).unwrap();
        assert_eq!(there.receive::<u32>().unwrap().unwrap().descriptors.len(), DESCRIPTORS_PER_MESSAGE);
        batch.push(one.as_fd());
        assert!(here.send(&1, &batch).is_err());
    }

    #[test]
    fn the_other_ends_death_is_the_end() {
        let (here, there) = Channel::pair().unwrap();
        drop(there);
        assert!(here.receive::<u32>().unwrap().is_none());
        assert!(here.send(&1, &[]).is_err());
    }

    #[tokio::test]
    async fn a_full_channel_waits_instead_of_failing() {
        let (here, there) = Channel::pair().unwrap();
        let (here, there) = (AsyncChannel::new(here).unwrap(), AsyncChannel::new(there).unwrap());
        let sending = async {
            for n in 0..500_u32 {
                here.send(&n, &[]).await.unwrap();
            }
        };
        let receiving = async {
            for n in 0..500_u32 {
                assert_eq!(there.receive::<u32>().await.unwrap().unwrap().message, n);
            }
        };
        tokio::join!(sending, receiving);
    }
}
