//! Relays in miniature: listeners, clients, child processes, and what the kernel holds.

use std::{
    env, io,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{self, Command, Stdio},
    sync::{Mutex, Once},
    thread,
    time::{Duration, Instant},
};

use aya::{maps::MapInfo, programs::loaded_programs};
use postern_ebpf_loader::{Slot, Steer, SteerOptions, Support, WorkerState, probe};
use socket2::{Domain, Protocol, Socket, Type};

/// Workers of one relay: their listeners on one address, joined and active.
pub(crate) struct Relay {
    pub(crate) steer: Steer,
    pub(crate) listeners: Vec<TcpListener>,
    pub(crate) slots: Vec<Slot>,
    pub(crate) address: SocketAddr,
}

impl Relay {
    /// Nothing when the machine cannot steer and is not asked to.
    pub(crate) fn start(test: &str, workers: u32) -> Option<Self> {
        if !able() {
            return None;
        }
        let (address, listeners) = listen(workers);
        let mut steer = Steer::load(&instance(test), SteerOptions::default()).unwrap();
        let slots: Vec<Slot> =
            (0..).zip(&listeners).map(|(worker, listener)| steer.join(worker, listener, 0).unwrap()).collect();
        for slot in &slots {
            steer.set_state(*slot, WorkerState::Active).unwrap();
        }
        steer.attach(&listeners[0]).unwrap();
        Some(Self { steer, listeners, slots, address })
    }

    pub(crate) fn set_state(&mut self, worker: usize, state: WorkerState) {
        self.steer.set_state(self.slots[worker], state).unwrap();
    }

    /// Opens connections one after the other; how many each worker got.
    pub(crate) fn connect(&self, count: usize) -> (Vec<TcpStream>, Vec<usize>) {
        connect(self.address, &self.listeners, count)
    }

    pub(crate) fn stop(self) {
        Steer::detach(&self.listeners[0]).unwrap();
        self.steer.remove().unwrap();
    }
}

pub(crate) fn able() -> bool {
    capture_log();
    match probe() {
        Support::Available => true,
        Support::Unavailable(reason) => {
            assert!(!is_ci(), "CI must run the eBPF tests, but {reason}");
            eprintln!("skipped: {reason}");
            false
        }
    }
}

fn is_ci() -> bool {
    env::var("CI").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"))
}

/// A child has its parent's.
pub(crate) fn instance(test: &str) -> String {
    env::var(INSTANCE).unwrap_or_else(|_| format!("test-{test}-{}", process::id()))
}

pub(crate) fn listen(workers: u32) -> (SocketAddr, Vec<TcpListener>) {
    let first = listener((Ipv4Addr::LOCALHOST, 0).into());
    let address = first.local_addr().unwrap();
    let others = (1..workers).map(|_| listener(address));
    (address, [first].into_iter().chain(others).collect())
}

pub(crate) fn listener(address: SocketAddr) -> TcpListener {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket.bind(&address.into()).unwrap();
    socket.listen(4096).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket.into()
}

/// Keeps both ends open: idle connections.
pub(crate) fn connect(address: SocketAddr, listeners: &[TcpListener], count: usize) -> (Vec<TcpStream>, Vec<usize>) {
    raise_descriptor_limit();
    let mut ends: Vec<TcpStream> = (0..count).map(|_| TcpStream::connect(address).unwrap()).collect();
    let accepted = accept(listeners, count);
    let by_worker = accepted.iter().map(Vec::len).collect();
    ends.extend(accepted.into_iter().flatten());
    (ends, by_worker)
}

/// Accepts `count` connections, by listener. On loopback they are nearly always there when `connect` returns.
pub(crate) fn accept(listeners: &[TcpListener], count: usize) -> Vec<Vec<TcpStream>> {
    let mut accepted: Vec<Vec<TcpStream>> = listeners.iter().map(|_| Vec::new()).collect();
    eventually(|| {
        for (listener, accepted) in listeners.iter().zip(&mut accepted) {
            accepted.extend((0..).map_while(|_| accept_one(listener)));
        }
        accepted.iter().map(Vec::len).sum::<usize>() == count
    });
    accepted
}

fn accept_one(listener: &TcpListener) -> Option<TcpStream> {
    match listener.accept() {
        Ok((connection, _)) => Some(connection),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
        Err(error) => panic!("accept: {error}"),
    }
}

/// Whether the condition came true within five seconds.
pub(crate) fn eventually(mut condition: impl FnMut() -> bool) -> bool {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(5) {
        if condition() {
            return true;
        }
        thread::sleep(Duration::from_millis(5));
    }
    false
}

#[expect(clippy::cast_precision_loss, reason = "a thousand connections")]
pub(crate) fn max_over_mean(by_worker: &[usize]) -> f64 {
    let total: usize = by_worker.iter().sum();
    *by_worker.iter().max().unwrap() as f64 * by_worker.len() as f64 / total as f64
}

fn raise_descriptor_limit() {
    let limit = libc::rlimit { rlim_cur: 16_384, rlim_max: 16_384 };
    // SAFETY: a valid structure.
    let result = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    assert_eq!(result, 0);
}

pub(crate) fn map_id(pin: &str) -> u32 {
    MapInfo::from_pin(pin).unwrap().id()
}

pub(crate) fn programs_with(map: u32) -> Vec<u32> {
    let uses = |program: &aya::programs::ProgramInfo| program.map_ids().unwrap().unwrap_or_default().contains(&map);
    loaded_programs().filter_map(Result::ok).filter(uses).map(|program| program.id()).collect()
}

/// A TCP segment to `address` that belongs to no connection and opens none.
pub(crate) fn send_stray_ack(address: SocketAddr) {
    let mut segment = [0; 20];
    segment[..2].copy_from_slice(&9u16.to_be_bytes());
    segment[2..4].copy_from_slice(&address.port().to_be_bytes());
    segment[12] = 5 << 4;
    segment[13] = 0x10;
    let pseudo_header = [0x7f00, 1, 0x7f00, 1, 6, segment.len() as u32];
    let words = segment.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
    let sum: u32 = words.chain(pseudo_header).sum();
    let checksum = !((sum & 0xffff) + (sum >> 16)) as u16;
    segment[16..18].copy_from_slice(&checksum.to_be_bytes());
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::TCP)).unwrap();
    socket.send_to(&segment, &address.into()).unwrap();
}

/// The kernel frees a program a moment after its last user.
pub(crate) fn gone(map: u32) -> bool {
    eventually(|| programs_with(map).is_empty())
}

/// Whether this process is a child that a test started for `role`.
pub(crate) fn child(role: &str) -> bool {
    env::var(ROLE).is_ok_and(|mine| mine == role)
}

pub(crate) fn spawn(role: &str, test: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", test]).env(ROLE, role).stdout(Stdio::null());
    command
}

const ROLE: &str = "POSTERN_TEST_ROLE";
pub(crate) const INSTANCE: &str = "POSTERN_TEST_INSTANCE";

static LOGGED: Mutex<Vec<String>> = Mutex::new(Vec::new());

pub(crate) fn logged(part: &str) -> Vec<String> {
    LOGGED.lock().unwrap().iter().filter(|line| line.contains(part)).cloned().collect()
}

fn capture_log() {
    static CAPTURE: Once = Once::new();
    CAPTURE.call_once(|| {
        log::set_logger(&Capture).unwrap();
        log::set_max_level(log::LevelFilter::Info);
    });
}

struct Capture;

impl log::Log for Capture {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = format!("{} {} {}", record.level(), record.target(), record.args());
        LOGGED.lock().unwrap().push(line);
    }

    fn flush(&self) {}
}
