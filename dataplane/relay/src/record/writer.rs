//! The log's thread: takes the workers' lines, keeps the latest in memory and writes them out. Only it touches the file,
//! so that a slow disk, a full one or a reader that does not read holds up nothing else.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use postern_model::ids::RequestId;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::lane::{Batch, Bell, Lane};
use super::recent::Recent;
use crate::limits::{LINES_GATHERED_FOR, RECENT_BYTES_MAX, REFUSED_BYTES_MAX};

/// The access log as the rest of the process sees it.
#[derive(Debug)]
pub(crate) struct AccessLog {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    lanes: Vec<Arc<Lane>>,
    bell: Arc<Bell>,
    memory: Mutex<Memory>,
    /// Another file to write to from now on.
    next_file: Mutex<Option<OwnedFd>>,
    lines_lost: AtomicU64,
    ending: AtomicBool,
}

#[derive(Debug)]
struct Memory {
    all: Recent,
    refused: Recent,
}

impl AccessLog {
    /// One lane per worker; nothing runs yet.
    pub(crate) fn new(workers: u16) -> Self {
        let shared = Shared {
            lanes: (0..workers).map(|_| Arc::default()).collect(),
            bell: Arc::default(),
            memory: Mutex::new(Memory { all: Recent::new(RECENT_BYTES_MAX), refused: Recent::new(REFUSED_BYTES_MAX) }),
            next_file: Mutex::default(),
            lines_lost: AtomicU64::new(0),
            ending: AtomicBool::new(false),
        };
        Self { shared: Arc::new(shared), thread: None }
    }

    pub(crate) fn lane(&self, worker: u16) -> (Arc<Lane>, Arc<Bell>) {
        (Arc::clone(&self.shared.lanes[usize::from(worker)]), Arc::clone(&self.shared.bell))
    }

    /// Starts the thread; without a file lines are kept in memory only.
    pub(crate) fn start(&mut self, file: Option<OwnedFd>) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let writer = Writer { file: file.map(File::from), shared, reported: 0, torn: false, complained: false };
        self.thread = Some(thread::Builder::new().name("access-log".into()).spawn(|| writer.run())?);
        Ok(())
    }

    /// Writes to another file from now on: the old one was moved away.
    pub(crate) fn reopen(&self, file: OwnedFd) {
        *self.shared.next_file.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
        self.wake();
    }

    /// The line of a request, if it is remembered.
    pub(crate) fn find(&self, request: RequestId) -> Option<String> {
        let memory = self.shared.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.all.find(request).or_else(|| memory.refused.find(request)).map(str::to_owned)
    }

    /// Counts what is lost.
    pub(crate) fn losses(&self) -> Losses {
        Losses(Arc::clone(&self.shared))
    }

    /// Writes what is there, waiting no longer than `patience` for a disk that does not take it.
    pub(crate) fn end(&mut self, patience: Duration) {
        self.shared.ending.store(true, Ordering::Release);
        self.wake();
        let Some(thread) = self.thread.take() else { return };
        let mut waited = Duration::ZERO;
        while !thread.is_finished() && waited < patience {
            thread::sleep(Duration::from_millis(2));
            waited += Duration::from_millis(2);
        }
    }

    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

/// How many lines were lost.
#[derive(Debug, Clone)]
pub(crate) struct Losses(Arc<Shared>);

impl Losses {
    /// Lines that found no room on their way, or could not be written.
    pub(crate) fn dropped(&self) -> u64 {
        self.0.dropped()
    }
}

impl Shared {
    fn dropped(&self) -> u64 {
        let unread = self.lanes.iter().map(|lane| lane.dropped()).sum::<u64>();
        unread + self.lines_lost.load(Ordering::Relaxed)
    }
}

struct Writer {
    file: Option<File>,
    shared: Arc<Shared>,
    /// Of the dropped lines, those that the log tells of.
    reported: u64,
    /// The last write stopped within a line.
    torn: bool,
    complained: bool,
}

impl Writer {
    fn run(mut self) {
        self.shared.bell.belongs_to(thread::current());
        let mut batch = Batch::default();
        loop {
            let ending = self.shared.ending.load(Ordering::Acquire);
            if let Some(file) = self.shared.next_file.lock().unwrap_or_else(PoisonError::into_inner).take() {
                (self.file, self.torn, self.complained) = (Some(File::from(file)), false, false);
            }
            let mut any = false;
            for worker in 0..self.shared.lanes.len() {
                self.shared.lanes[worker].take(&mut batch);
                any |= !batch.is_empty();
                self.keep(&batch);
            }
            self.report_dropped();
            match (any, ending) {
                (_, true) => return,
                // Gather: one write for many lines.
                (true, false) => thread::sleep(LINES_GATHERED_FOR),
                (false, false) => {
                    batch = Batch::default(); // idle, it holds no memory
                    thread::park();
                }
            }
        }
    }

    fn keep(&mut self, batch: &Batch) {
        if batch.is_empty() {
            return;
        }
        let mut memory = self.shared.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.all.push(&batch.lines);
        memory.refused.push(&batch.refused);
        drop(memory);
        self.write(&batch.lines);
    }

    fn write(&mut self, lines: &str) {
        let Some(file) = &mut self.file else { return };
        let mut left = lines.as_bytes();
        let begun = if self.torn { file.write_all(b"\n") } else { Ok(()) };
        let outcome = begun.and_then(|()| {
            self.torn = false;
            while !left.is_empty() {
                match file.write(left) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(written) => left = &left[written..],
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        });
        let Err(error) = outcome else {
            self.complained = false;
            return;
        };
        let written = lines.len() - left.len();
        self.torn |= written > 0 && lines.as_bytes()[written - 1] != b'\n';
        let lost = left.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.shared.lines_lost.fetch_add(lost, Ordering::Relaxed);
        if !std::mem::replace(&mut self.complained, true) {
            tracing::error!(%error, "the access log cannot be written: lines are lost until it can");
        }
    }

    /// A line that says how many are missing before it.
    fn report_dropped(&mut self) {
        let dropped = self.shared.dropped();
        if dropped > self.reported && self.file.is_some() {
            let time = OffsetDateTime::from(SystemTime::now()).format(&Rfc3339).unwrap_or_default();
            let lost = self.shared.lines_lost.load(Ordering::Relaxed);
            self.write(&format!("{{\"time\":\"{time}\",\"dropped\":{}}}\n", dropped - self.reported));
            // If even this was lost, the next one says it.
            if self.shared.lines_lost.load(Ordering::Relaxed) == lost {
                self.reported = dropped;
            } else {
                self.shared.lines_lost.store(lost, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::lane::LaneWriter;
    use super::super::line::Line;
    use super::*;
    use std::io::{BufRead as _, BufReader};
    use std::time::Instant;

    fn line(id: u128) -> Batch {
        let mut lines = String::new();
        Line::begin(&mut lines, "2026-01-01T00:00:00.000Z", RequestId(id)).number("status", 200);
        Batch { lines: lines + "}\n", refused: String::new() }
    }

    fn started(file: Option<OwnedFd>) -> (AccessLog, LaneWriter) {
        let mut log = AccessLog::new(1);
        let (lane, bell) = log.lane(0);
        log.start(file).unwrap();
        (log, LaneWriter::new(lane, bell))
    }

    fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !holds() {
            assert!(Instant::now() < deadline, "{what}");
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn lines_reach_the_file_and_after_a_rotation_the_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let open = |name: &str| File::create(folder.path().join(name)).unwrap().into();
        let text = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        let (mut log, lane) = started(Some(open("one")));
        assert!(lane.hand_over(&mut line(1)));
        eventually("the first line", || text("one") == line(1).lines);
        log.reopen(open("two"));
        eventually("the file was taken", || log.shared.next_file.lock().unwrap().is_none());
        assert!(lane.hand_over(&mut line(2)));
        log.end(Duration::from_secs(5));
        assert_eq!((text("one"), text("two")), (line(1).lines, line(2).lines));
        assert_eq!(log.find(RequestId(1)).as_deref(), Some(line(1).lines.trim_end()));
        assert_eq!(log.losses().dropped(), 0);
    }

    #[test]
    fn without_a_file_requests_are_remembered_all_the_same() {
        let (log, lane) = started(None);
        let refused = Batch { refused: line(3).lines, ..line(3) };
        assert!(lane.hand_over(&mut refused.clone()));
        eventually("it is remembered", || log.find(RequestId(3)).is_some());
        assert_eq!(log.losses().dropped(), 0);
    }

    #[test]
    fn a_full_disk_is_survived_and_counted() {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (mut log, lane) = started(Some(full.into()));
        assert!(lane.hand_over(&mut line(1)));
        eventually("the loss is counted", || log.losses().dropped() == 1);
        let path = folder.path().join("log");
        log.reopen(File::create(&path).unwrap().into());
        assert!(lane.hand_over(&mut line(2)));
        log.end(Duration::from_secs(5));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("\"dropped\":1"), "{text}");
        assert!(text.contains(line(2).lines.trim_end()), "{text}");
    }

    #[test]
    fn a_reader_that_does_not_read_delays_nobody_and_learns_what_it_missed() {
        let (reader, writer) = io::pipe().unwrap();
        let (log, lane) = started(Some(writer.into()));
        let started = Instant::now();
        let mut handed = 0;
        while log.losses().dropped() == 0 {
            let mut own = Batch { lines: line(handed).lines.repeat(100), refused: String::new() };
            while !lane.hand_over(&mut own) {}
            handed += 1;
            assert!(started.elapsed() < Duration::from_secs(20), "the lane is bounded");
        }
        let mut lines = BufReader::new(reader).lines();
        let told = lines.find_map(|line| {
            let value: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
            value["dropped"].as_u64()
        });
        assert!(told.unwrap() >= 100);
    }
}
