//! Names to addresses, by the host's own resolver on threads beside the rings, remembered for a short while.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use postern_io::mailbox::{self, mailbox};
use postern_io::{Instant, now};

use crate::limits::{ADDRESSES_TRIED_MAX, LOOKUPS_WAITING, RESOLVED_FOR, RESOLVED_MAX, RESOLVER_THREADS};

/// The way to the resolver's threads; they end with the process.
#[derive(Debug, Clone)]
pub(crate) struct Resolver(Option<SyncSender<Lookup>>);

#[derive(Debug)]
struct Lookup {
    host: Box<str>,
    reply: mailbox::Sender<io::Result<Vec<IpAddr>>>,
}

impl Resolver {
    /// Starts the threads.
    pub(crate) fn start() -> io::Result<Self> {
        let (sender, receiver) = sync_channel(LOOKUPS_WAITING);
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 0..RESOLVER_THREADS {
            let receiver = Arc::clone(&receiver);
            thread::Builder::new().name("resolver".into()).spawn(move || serve(&receiver))?;
        }
        Ok(Self(Some(sender)))
    }

    /// Knows addresses only, and names that begin with one, `10-0-0-2.corp`: for the simulator.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// The addresses of `host`, asked for now.
    pub(crate) async fn look_up(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let Some(lookups) = &self.0 else { return without_threads(host) };
        let (reply, mut answer) = mailbox(1);
        if lookups.try_send(Lookup { host: host.into(), reply }).is_err() {
            return Err(io::Error::other("too many name look-ups are waiting"));
        }
        answer.recv().await.unwrap_or_else(|| Err(io::Error::other("the resolver ended")))
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

fn serve(lookups: &Mutex<Receiver<Lookup>>) {
    loop {
        let next = lookups.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(lookup) = next else { return };
        // Who asked may have gone.
        let _ = lookup.reply.send(addresses(&lookup.host));
    }
}

fn addresses(host: &str) -> io::Result<Vec<IpAddr>> {
    let mut found: Vec<IpAddr> = Vec::new();
    for address in (host, 0).to_socket_addrs()? {
        if !found.contains(&address.ip()) && found.len() < ADDRESSES_TRIED_MAX {
            found.push(address.ip());
        }
    }
    if found.is_empty() { Err(io::Error::from(io::ErrorKind::NotFound)) } else { Ok(found) }
}

/// One worker's memory of names. A name that cannot be resolved any more keeps the addresses it had.
#[derive(Debug)]
pub(crate) struct Names {
    resolver: Resolver,
    known: RefCell<HashMap<Box<str>, Known>>,
}

#[derive(Debug, Clone)]
struct Known {
    addresses: Rc<[IpAddr]>,
    until: Instant,
}

impl Names {
    pub(crate) fn new(resolver: Resolver) -> Self {
        Self { resolver, known: RefCell::default() }
    }

    /// The resolver itself, for names that are not to be remembered.
    pub(crate) fn resolver(&self) -> &Resolver {
        &self.resolver
    }

    /// The addresses of `host`, at most [`RESOLVED_FOR`] old where that can be had.
    pub(crate) async fn addresses(&self, host: &str) -> io::Result<Rc<[IpAddr]>> {
        let held = self.known.borrow().get(host).cloned();
        if let Some(held) = held.as_ref().filter(|held| held.until > now()) {
            return Ok(Rc::clone(&held.addresses));
        }
        match (self.resolver.look_up(host).await, held) {
            (Ok(found), _) => Ok(self.remember(host, found.into())),
            (Err(error), Some(held)) => {
                tracing::warn!(host, %error, "the name cannot be resolved now; its last addresses are used");
                Ok(self.remember(host, held.addresses))
            }
            (Err(error), None) => Err(error),
        }
    }

    fn remember(&self, host: &str, addresses: Rc<[IpAddr]>) -> Rc<[IpAddr]> {
        let mut known = self.known.borrow_mut();
        if known.len() >= RESOLVED_MAX {
            let at = now();
            known.retain(|_, known| known.until > at);
        }
        if known.len() < RESOLVED_MAX {
            known.insert(host.into(), Known { addresses: Rc::clone(&addresses), until: now().after(RESOLVED_FOR) });
        }
        addresses
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postern_io::{BackendKind, Runtime, RuntimeOptions};

    #[test]
    fn addresses_need_no_look_up_and_unknown_names_fail() {
        let runtime =
            Runtime::new(RuntimeOptions { backend: BackendKind::Sim, seed: Some(1), ..RuntimeOptions::default() })
                .unwrap();
        runtime
            .run(async {
                let names = Names::new(Resolver::none());
                let found = names.addresses("::1").await.unwrap();
                assert_eq!(*found, ["::1".parse::<IpAddr>().unwrap()]);
                assert!(names.addresses("nowhere.invalid").await.is_err());
            })
            .unwrap();
    }

    #[test]
    fn the_hosts_resolver_is_asked_on_its_own_thread() {
        let runtime = Runtime::new(RuntimeOptions::default()).unwrap();
        let found = runtime.run(async { Resolver::start().unwrap().look_up("localhost").await });
        assert!(found.unwrap().unwrap().iter().all(IpAddr::is_loopback));
    }
}
