//! Names to addresses, by the host's own resolver: `/etc/hosts`, `nsswitch.conf`, the servers and search domains of `resolv.conf` and
//! whatever splits names between networks hold here as for everything else on this host. It blocks, so it has threads beside the rings.

mod names;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use postern_io::mailbox::{self, mailbox};

use crate::limits::{
    BACKEND_ADDRESSES_MAX, CHOSEN_LOOKUPS_WAITING, CHOSEN_RESOLVER_THREADS, LOOKUPS_WAITING, RESOLVER_THREADS,
};

pub(crate) use names::Names;

/// The way to the resolver. Without one only addresses are known.
#[derive(Debug, Clone)]
pub(crate) struct Resolver {
    threads: Option<Arc<Threads>>,
    /// For names that users choose: however many these are, and however long their servers take, all others are looked up.
    for_chosen: Option<Arc<Threads>>,
    /// For the simulator.
    #[cfg(test)]
    script: Option<Arc<tests::Script>>,
    /// It is for names that users choose.
    #[cfg(test)]
    is_for_chosen: bool,
}

/// Threads that end with the process.
#[derive(Debug)]
struct Threads {
    queue: SyncSender<Box<str>>,
    asked: Arc<Asked>,
}

/// Names that are queued or being asked for, and who wants to know.
#[derive(Debug, Default)]
struct Asked(Mutex<HashMap<Box<str>, Vec<mailbox::Sender<Found>>>>);

/// As often as there are askers.
#[derive(Debug, Clone)]
struct Found(Result<Vec<IpAddr>, String>);

impl Resolver {
    /// Starts the threads.
    pub(crate) fn start() -> io::Result<Self> {
        Ok(Self {
            threads: Some(Threads::start(RESOLVER_THREADS, LOOKUPS_WAITING)?),
            for_chosen: Some(Threads::start(CHOSEN_RESOLVER_THREADS, CHOSEN_LOOKUPS_WAITING)?),
            #[cfg(test)]
            script: None,
            #[cfg(test)]
            is_for_chosen: false,
        })
    }

    /// The same for names that users choose, with threads of its own.
    pub(crate) fn for_chosen(&self) -> Self {
        Self {
            threads: self.for_chosen.clone(),
            #[cfg(test)]
            is_for_chosen: true,
            ..self.clone()
        }
    }

    /// Knows addresses only, and names that begin with one, `10-0-0-2.corp`: for the simulator.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self { threads: None, for_chosen: None, script: None, is_for_chosen: false }
    }

    /// Knows what a test says.
    #[cfg(test)]
    pub(crate) fn scripted(script: &Arc<tests::Script>) -> Self {
        Self { script: Some(Arc::clone(script)), ..Self::none() }
    }

    /// The addresses of `host`, asked for now.
    pub(crate) async fn look_up(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        #[cfg(test)]
        if let Some(script) = &self.script {
            return script.look_up(host, self.is_for_chosen).await;
        }
        match &self.threads {
            Some(threads) => threads.look_up(host).await,
            None => without_threads(host),
        }
    }
}

#[cfg(not(test))]
fn without_threads(_host: &str) -> io::Result<Vec<IpAddr>> {
    Err(io::Error::from(io::ErrorKind::NotFound))
}

#[cfg(test)]
fn without_threads(host: &str) -> io::Result<Vec<IpAddr>> {
    let first = host.split('.').next().unwrap_or_default();
    let address = first.replace('-', ".").parse().map_err(|_| io::Error::from(io::ErrorKind::NotFound))?;
    Ok(vec![address])
}

impl Threads {
    fn start(threads: usize, waiting: usize) -> io::Result<Arc<Self>> {
        let (queue, receiver) = sync_channel(waiting);
        let (receiver, asked) = (Arc::new(Mutex::new(receiver)), Arc::new(Asked::default()));
        for _ in 0..threads {
            let (receiver, asked) = (Arc::clone(&receiver), Arc::clone(&asked));
            thread::Builder::new().name("resolver".into()).spawn(move || serve(&receiver, &asked))?;
        }
        Ok(Arc::new(Self { queue, asked }))
    }

    async fn look_up(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let (reply, mut answer) = mailbox(1);
        self.ask(host, reply)?;
        match answer.recv().await {
            Some(Found(found)) => found.map_err(io::Error::other),
            None => Err(io::Error::other("the resolver ended")),
        }
    }

    /// One thread at most is held up by a name, however many ask for it.
    fn ask(&self, host: &str, reply: mailbox::Sender<Found>) -> io::Result<()> {
        let mut asked = self.asked.lock();
        if let Some(waiting) = asked.get_mut(host) {
            waiting.push(reply);
            return Ok(());
        }
        if self.queue.try_send(host.into()).is_err() {
            return Err(io::Error::other("too many name look-ups are waiting"));
        }
        asked.insert(host.into(), vec![reply]);
        Ok(())
    }
}

impl Asked {
    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Vec<mailbox::Sender<Found>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, host: &str) -> Vec<mailbox::Sender<Found>> {
        self.lock().remove(host).unwrap_or_default()
    }
}

fn serve(queue: &Mutex<Receiver<Box<str>>>, asked: &Asked) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(host) = next else { return };
        let found = Found(addresses(&host).map_err(|error| error.to_string()));
        for reply in asked.take(&host) {
            // Who asked may have gone.
            let _ = reply.send(found.clone());
        }
    }
}

/// In the order that the host prefers (RFC 6724), which is the order in which they are tried.
fn addresses(host: &str) -> io::Result<Vec<IpAddr>> {
    let mut found: Vec<IpAddr> = Vec::new();
    for address in (host, 0).to_socket_addrs()? {
        if !found.contains(&address.ip()) && found.len() < BACKEND_ADDRESSES_MAX {
            found.push(address.ip());
        }
    }
    if found.is_empty() { Err(io::Error::from(io::ErrorKind::NotFound)) } else { Ok(found) }
}

#[cfg(test)]
pub(crate) mod tests;
