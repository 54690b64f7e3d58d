//! The simulated network: endpoints in pairs, a heap of deliveries ordered by virtual time.

use std::{
    cell::RefCell,
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    io,
    net::SocketAddr,
    time::Duration,
};

use slab::Slab;

use crate::{
    backend::Backend,
    buffer::Chunk,
    core::{Accepted, Core, End, Sock},
    runtime::Rng,
    time::Instant,
};

/// Bytes one direction of a connection may hold: what socket buffers hold on a real host.
const WINDOW_BYTES: usize = 256 * 1024;

/// What the network does to traffic.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// The shortest and the longest one-way delay; each piece draws its own, order within a
    /// connection's direction is kept.
    pub delay: (Duration, Duration),
    /// The largest piece delivered at once; sends are cut into pieces of random size up to it.
    pub piece_bytes_max: usize,
    /// One in so many pieces resets its connection; 0 never.
    pub reset_one_in: u64,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            delay: (Duration::from_micros(50), Duration::from_micros(200)),
            piece_bytes_max: 16 * 1024,
            reset_one_in: 0,
        }
    }
}

enum Event {
    Connected(usize),
    Refused(u32),
    Data(usize, Vec<u8>),
    Fin(usize),
    Reset(usize),
    /// Nothing but a reason to look at what has arrived.
    Nudge,
}

#[derive(Default)]
struct Endpoint {
    /// The socket that uses this end; none while it waits in an accept queue or when closed.
    key: Option<u32>,
    peer: usize,
    /// The address the connection was made to.
    address: Option<SocketAddr>,
    open: bool,
    receiving: bool,
    /// Arrived and not yet taken by an armed receive.
    arrived: Vec<Vec<u8>>,
    ended: Option<End>,
    /// Sent by the peer and not yet taken here.
    in_window: usize,
    /// The peer waits for room in the window.
    peer_blocked: bool,
    /// The latest delivery time scheduled towards this end: keeps order.
    last_arrival: Instant,
    stalled: bool,
}

struct Net {
    rng: Rng,
    faults: Faults,
    endpoints: Slab<Endpoint>,
    listeners: HashMap<SocketAddr, u32>,
    events: BinaryHeap<Reverse<(Instant, u64)>>,
    bodies: HashMap<u64, Event>,
    sequence: u64,
    /// Accepted before the listener asked.
    backlog: HashMap<u32, Vec<usize>>,
    cancelled: Vec<u32>,
}

pub(crate) struct SimBackend(RefCell<Net>);

pub(crate) fn backend(core: &Core) -> &SimBackend {
    match &core.backend {
        Backend::Sim(backend) => backend,
        Backend::Uring(_) | Backend::Epoll(_) => panic!("only the simulator has a network of its own"),
    }
}

pub(crate) fn listen(core: &Core, key: u32, address: SocketAddr) -> io::Result<()> {
    let Backend::Sim(backend) = &core.backend else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    let mut net = backend.0.borrow_mut();
    if net.listeners.contains_key(&address) {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    net.listeners.insert(address, key);
    Ok(())
}

pub(crate) fn unlisten(core: &Core, address: SocketAddr) {
    backend(core).0.borrow_mut().listeners.remove(&address);
}

impl Net {
    fn schedule(&mut self, at: Instant, event: Event) {
        self.sequence += 1;
        self.bodies.insert(self.sequence, event);
        self.events.push(Reverse((at, self.sequence)));
    }

    fn delay(&mut self) -> Duration {
        let (low, high) = self.faults.delay;
        let spread = u64::try_from((high - low).as_nanos()).unwrap_or(u64::MAX);
        low + Duration::from_nanos(self.rng.below(spread.max(1)))
    }

    /// When the next piece towards `to` arrives: never before an earlier one.
    fn arrival(&mut self, now: Instant, to: usize) -> Instant {
        let at = now.after(self.delay()).max(self.endpoints[to].last_arrival);
        self.endpoints[to].last_arrival = at;
        at
    }

    fn send_fin(&mut self, now: Instant, from: usize) {
        let peer = self.endpoints[from].peer;
        let at = self.arrival(now, peer);
        self.schedule(at, Event::Fin(peer));
    }
}

impl SimBackend {
    pub(crate) fn new(rng: Rng) -> Self {
        Self(RefCell::new(Net {
            rng,
            faults: Faults::default(),
            endpoints: Slab::new(),
            listeners: HashMap::new(),
            events: BinaryHeap::new(),
            bodies: HashMap::new(),
            sequence: 0,
            backlog: HashMap::new(),
            cancelled: Vec::new(),
        }))
    }

    pub(crate) fn set_faults(&self, faults: Faults) {
        self.0.borrow_mut().faults = faults;
    }

    pub(crate) fn reset_connections_to(&self, core: &Core, address: SocketAddr) {
        let now = core.now.get();
        let mut net = self.0.borrow_mut();
        let ends: Vec<usize> =
            net.endpoints.iter().filter(|(_, end)| end.address == Some(address)).map(|(id, _)| id).collect();
        for id in ends {
            net.schedule(now, Event::Reset(id));
        }
    }

    pub(crate) fn stall_connections_to(&self, core: &Core, address: SocketAddr, stalled: bool) {
        let mut net = self.0.borrow_mut();
        for (_, end) in &mut net.endpoints {
            if end.address == Some(address) {
                end.stalled = stalled;
            }
        }
        net.schedule(core.now.get(), Event::Nudge);
    }

    fn endpoint_of(core: &Core, key: u32) -> Option<usize> {
        core.with_sock(key, |sock| sock.endpoint)
    }

    pub(crate) fn recv(&self, core: &Core, key: u32) {
        if let Some(id) = Self::endpoint_of(core, key) {
            self.0.borrow_mut().endpoints[id].receiving = true;
        }
    }

    pub(crate) fn cancel_recv(&self, core: &Core, key: u32) {
        if let Some(id) = Self::endpoint_of(core, key) {
            self.0.borrow_mut().endpoints[id].receiving = false;
            self.0.borrow_mut().cancelled.push(key);
        }
    }

    pub(crate) fn send(&self, core: &Core, key: u32) {
        // Sends are looked at in `wait`, when every task of the turn has run.
        let _ = (core, key);
    }

    pub(crate) fn connect(&self, core: &Core, key: u32) {
        let address = core.with_sock(key, |sock| {
            sock.ops += 1;
            sock.connect.address.as_ref().and_then(|a| a.as_socket())
        });
        let now = core.now.get();
        let mut net = self.0.borrow_mut();
        let at = now.after(net.delay());
        let Some(address) = address.filter(|address| net.listeners.contains_key(address)) else {
            net.schedule(at, Event::Refused(key));
            return;
        };
        let client = net.endpoints.insert(Endpoint {
            key: Some(key),
            address: Some(address),
            open: true,
            ..Endpoint::default()
        });
        let server =
            net.endpoints.insert(Endpoint { peer: client, address: Some(address), open: true, ..Endpoint::default() });
        net.endpoints[client].peer = server;
        core.with_sock(key, |sock| sock.endpoint = Some(client));
        net.schedule(at, Event::Connected(client));
    }

    pub(crate) fn accept(&self, core: &Core, key: u32) {
        core.with_sock(key, |sock| sock.ops += 1);
        let waiting = self.0.borrow_mut().backlog.remove(&key);
        for id in waiting.unwrap_or_default() {
            core.on_accept(key, Ok(Accepted::Endpoint(id)), true);
        }
    }

    pub(crate) fn shutdown(&self, core: &Core, key: u32) {
        if let Some(id) = Self::endpoint_of(core, key) {
            self.0.borrow_mut().send_fin(core.now.get(), id);
        }
    }

    pub(crate) fn cancel_all(&self, _core: &Core, key: u32) {
        self.0.borrow_mut().cancelled.push(key);
    }

    pub(crate) fn close(&self, core: &Core, sock: Sock) {
        let Some(id) = sock.endpoint else { return };
        let now = core.now.get();
        let mut net = self.0.borrow_mut();
        let end = &mut net.endpoints[id];
        end.key = None;
        end.open = false;
        let unread = !end.arrived.is_empty();
        end.arrived.clear();
        let peer = end.peer;
        if unread {
            // A close with unread bytes is a reset, as TCP does it.
            let at = net.arrival(now, peer);
            net.schedule(at, Event::Reset(peer));
        } else {
            net.send_fin(now, id);
        }
    }

    pub(crate) fn wait(&self, core: &Core, timeout: Option<Duration>) -> io::Result<usize> {
        self.reap_cancelled(core);
        self.start_sends(core);
        if timeout == Some(Duration::ZERO) {
            return Ok(0);
        }
        let next = self.0.borrow().events.peek().map(|Reverse((at, _))| *at);
        let timer = timeout.map(|d| core.now.get().after(d));
        let Some(until) = [next, timer].into_iter().flatten().min() else {
            return Err(io::Error::new(io::ErrorKind::Deadlock, "every task waits and nothing is on its way"));
        };
        core.now.set(until.max(core.now.get()));
        loop {
            let event = {
                let mut net = self.0.borrow_mut();
                match net.events.peek() {
                    Some(Reverse((at, _))) if *at <= core.now.get() => {}
                    Some(_) | None => break,
                }
                let Some(Reverse((_, sequence))) = net.events.pop() else {
                    break;
                };
                net.bodies.remove(&sequence)
            };
            if let Some(event) = event {
                self.happen(core, event);
            }
        }
        self.deliver(core);
        Ok(1)
    }

    fn reap_cancelled(&self, core: &Core) {
        let cancelled = std::mem::take(&mut self.0.borrow_mut().cancelled);
        for key in cancelled {
            let Some((recv, send, accept, connect)) = core.socks.borrow().get(key as usize).map(|sock| {
                (sock.recv.armed, sock.send.inflight.is_some(), sock.accept.armed, sock.connect.address.is_some())
            }) else {
                continue;
            };
            let dropped = core.with_sock(key, |sock| sock.dropped);
            if recv {
                core.on_recv_paused(key);
            }
            if send && dropped {
                core.on_send(key, -libc::ECANCELED);
            }
            if accept && dropped {
                core.on_accept(key, Err(libc::ECANCELED), false);
            }
            if connect && dropped {
                core.on_connect(key, -libc::ECANCELED);
            }
        }
    }

    /// Cuts what sockets want to send into pieces and puts them on their way.
    fn start_sends(&self, core: &Core) {
        let sending: Vec<(u32, usize)> = core
            .socks
            .borrow()
            .iter()
            .filter(|(_, sock)| sock.send.inflight.is_some())
            .filter_map(|(key, sock)| Some((crate::core::key_of(key), sock.endpoint?)))
            .collect();
        for (key, id) in sending {
            self.send_pieces(core, key, id);
        }
    }

    fn send_pieces(&self, core: &Core, key: u32, id: usize) {
        let now = core.now.get();
        let mut net = self.0.borrow_mut();
        let peer = net.endpoints[id].peer;
        if !net.endpoints[peer].open || net.endpoints[id].ended == Some(End::Errno(libc::ECONNRESET)) {
            drop(net);
            core.on_send(key, -libc::ECONNRESET);
            return;
        }
        let room = WINDOW_BYTES.saturating_sub(net.endpoints[peer].in_window);
        if room == 0 {
            net.endpoints[peer].peer_blocked = true;
            return;
        }
        let data = core.with_sock(key, |sock| {
            let buffer = sock.send.inflight.as_ref().map_or(&[][..], |b| b.as_slice());
            let rest = &buffer[sock.send.sent..];
            rest[..rest.len().min(room)].to_vec()
        });
        let mut rest = data.as_slice();
        while !rest.is_empty() {
            let largest = u64::try_from(rest.len().min(net.faults.piece_bytes_max.max(1))).unwrap_or(u64::MAX);
            let size = usize::try_from(1 + net.rng.below(largest)).unwrap_or(1);
            let (piece, later) = rest.split_at(size.min(rest.len()));
            rest = later;
            net.endpoints[peer].in_window += piece.len();
            let at = net.arrival(now, peer);
            let lottery = net.faults.reset_one_in;
            if lottery > 0 && net.rng.below(lottery) == 0 {
                net.schedule(at, Event::Reset(peer));
                net.schedule(at, Event::Reset(id));
            }
            net.schedule(at, Event::Data(peer, piece.to_vec()));
        }
        drop(net);
        core.on_send(key, i32::try_from(data.len()).unwrap_or(i32::MAX));
    }

    fn happen(&self, core: &Core, event: Event) {
        let mut net = self.0.borrow_mut();
        match event {
            Event::Refused(key) => {
                drop(net);
                core.on_connect(key, -libc::ECONNREFUSED);
            }
            Event::Connected(client) => {
                let server = net.endpoints[client].peer;
                let listener = net.endpoints[client].address.and_then(|address| net.listeners.get(&address).copied());
                let key = net.endpoints[client].key;
                let Some(listener) = listener else {
                    drop(net);
                    if let Some(key) = key {
                        core.on_connect(key, -libc::ECONNREFUSED);
                    }
                    return;
                };
                let armed = core.with_sock(listener, |sock| sock.accept.armed);
                if !armed {
                    net.backlog.entry(listener).or_default().push(server);
                }
                drop(net);
                if armed {
                    core.on_accept(listener, Ok(Accepted::Endpoint(server)), true);
                }
                if let Some(key) = key {
                    core.on_connect(key, 0);
                }
            }
            Event::Data(id, data) => {
                let end = &mut net.endpoints[id];
                if end.open && end.ended.is_none() {
                    end.arrived.push(data);
                }
            }
            Event::Fin(id) => {
                net.endpoints[id].ended.get_or_insert(End::Eof);
            }
            Event::Reset(id) => {
                let end = &mut net.endpoints[id];
                end.arrived.clear();
                end.ended = Some(End::Errno(libc::ECONNRESET));
            }
            Event::Nudge => {}
        }
    }

    /// Hands what arrived to the sockets whose receive is armed.
    fn deliver(&self, core: &Core) {
        let ready: Vec<(usize, u32)> = {
            let socks = core.socks.borrow();
            socks
                .iter()
                .filter(|(_, sock)| sock.recv.armed && !sock.recv.cancelling)
                .filter_map(|(key, sock)| Some((sock.endpoint?, crate::core::key_of(key))))
                .collect()
        };
        for (id, key) in ready {
            let (pieces, ended) = {
                let mut net = self.0.borrow_mut();
                let end = &mut net.endpoints[id];
                end.key = Some(key);
                if end.stalled {
                    continue;
                }
                let pieces = std::mem::take(&mut end.arrived);
                let taken: usize = pieces.iter().map(Vec::len).sum();
                end.in_window = end.in_window.saturating_sub(taken);
                (pieces, end.ended)
            };
            for piece in pieces {
                core.on_recv(key, Ok(Chunk::from_heap(piece)), true);
            }
            if let Some(end) = ended {
                core.on_recv(key, Err(end), false);
            }
        }
    }

    pub(crate) fn quiesce(&self, core: &Core) {
        let keys: Vec<u32> = {
            let socks = core.socks.borrow();
            socks.iter().map(|(index, _)| crate::core::key_of(index)).collect()
        };
        for key in keys {
            core.release(key);
        }
        self.reap_cancelled(core);
    }
}
