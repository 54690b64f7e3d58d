//! The ways between workers: a connection whose ClientHello belongs elsewhere, or a reason to look at what changed.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use postern_io::mailbox::{Receiver, Sender, mailbox};

use super::check::CheckOrder;

/// What a worker can be sent.
#[derive(Debug)]
pub enum ToWorker {
    /// A connection accepted by another worker, with what was read of it.
    Connection(Moved),
    /// Control wants to know whether a connector reaches an application.
    Check(CheckOrder),
    /// The configuration or the process's state changed.
    Look,
}

/// A connection that changes its worker before any TLS state exists.
#[derive(Debug)]
pub struct Moved {
    /// The connection.
    pub socket: OwnedFd,
    /// What was read from it: the whole ClientHello, perhaps more.
    pub first_bytes: Vec<u8>,
    /// The other end.
    pub peer: SocketAddr,
}

/// One worker's mailbox and the senders to all, itself included, by index.
#[derive(Debug)]
pub struct Peers {
    /// To the workers, by index.
    pub senders: Vec<Sender<ToWorker>>,
    /// This worker's own.
    pub inbox: Receiver<ToWorker>,
}

impl Peers {
    /// The mailboxes of `workers` workers, each knowing all.
    #[must_use]
    pub fn mesh(workers: u16) -> Vec<Self> {
        let (senders, inboxes): (Vec<_>, Vec<_>) = (0..workers).map(|_| mailbox(MAILBOX_MAX)).unzip();
        inboxes.into_iter().map(|inbox| Self { senders: senders.clone(), inbox }).collect()
    }
}

/// Messages waiting for one worker. Connections that do not fit are closed; their connector dials again.
const MAILBOX_MAX: usize = 1024;
