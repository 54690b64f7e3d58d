//! The log of transactions: one JSON line per request, written by a thread of its own. A full queue drops records and
//! counts them; it never holds up a request.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, SystemTime};

use postern_model::ids::{AppId, RelayId, RequestId};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::counters::Counters;
use crate::limits::TRANSACTIONS_WAITING;

/// One request from its OPEN to its end. Paths are cut and carry no query; clients' addresses, cookies and tokens never
/// stand here.
#[derive(Debug, Serialize)]
pub(crate) struct Transaction {
    #[serde(serialize_with = "rfc3339")]
    pub(crate) time: SystemTime,
    pub(crate) request: RequestId,
    pub(crate) app: AppId,
    pub(crate) relay: Option<RelayId>,
    pub(crate) method: String,
    pub(crate) path: String,
    /// The backend's status; none when there was no answer.
    pub(crate) status: Option<u16>,
    /// The stable code of what went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<&'static str>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) detail: String,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
    /// From the OPEN until a backend connection was there.
    pub(crate) connect_ms: Option<f64>,
    /// From the OPEN until the backend's answer began.
    pub(crate) first_byte_ms: Option<f64>,
    pub(crate) total_ms: f64,
    /// The backend connection had served requests before.
    pub(crate) reused: bool,
}

fn rfc3339<S: serde::Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    let text = OffsetDateTime::from(*time).format(&Rfc3339);
    serializer.serialize_str(&text.unwrap_or_default())
}

/// Where transactions go. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct TransactionLog {
    sender: Option<SyncSender<Transaction>>,
    counters: Arc<Counters>,
}

impl TransactionLog {
    /// Nowhere.
    pub(crate) fn off(counters: Arc<Counters>) -> Self {
        Self { sender: None, counters }
    }

    /// To a file, or to standard output for `-`. The thread ends when the last clone is gone.
    pub(crate) fn to(path: &Path, counters: Arc<Counters>) -> io::Result<(Self, thread::JoinHandle<()>)> {
        let target: Box<dyn Write + Send> = if path == Path::new("-") {
            Box::new(io::stdout())
        } else {
            Box::new(OpenOptions::new().append(true).create(true).open(path)?)
        };
        let (sender, receiver) = sync_channel(TRANSACTIONS_WAITING);
        let writer = thread::Builder::new().name("transactions".into()).spawn(move || write_all(&receiver, target))?;
        Ok((Self { sender: Some(sender), counters }, writer))
    }

    /// Whether records are wanted at all.
    pub(crate) fn is_on(&self) -> bool {
        self.sender.is_some()
    }

    pub(crate) fn write(&self, transaction: Transaction) {
        if let Some(sender) = &self.sender
            && sender.try_send(transaction).is_err()
        {
            self.counters.transactions_dropped.increment();
        }
    }
}

/// Writes lines together while they come, and flushes as soon as none waits.
fn write_all(records: &Receiver<Transaction>, target: Box<dyn Write + Send>) {
    let mut target = BufWriter::new(target);
    let mut complained = false;
    loop {
        let next = match records.recv_timeout(FLUSH_AFTER) {
            Ok(record) => Some(record),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let written = match next {
            Some(record) => serde_json::to_writer(&mut target, &record)
                .map_err(io::Error::from)
                .and_then(|()| target.write_all(b"\n")),
            None => target.flush(),
        };
        if let Err(error) = written
            && !std::mem::replace(&mut complained, true)
        {
            tracing::error!(%error, "the transaction log cannot be written; records are lost");
        }
    }
    // At the end there is nobody left to tell.
    let _ = target.flush();
}

const FLUSH_AFTER: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line_with_what_was_asked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.jsonl");
        let (log, writer) = TransactionLog::to(&path, Arc::default()).unwrap();
        log.write(Transaction {
            time: SystemTime::UNIX_EPOCH,
            request: RequestId(7),
            app: "a1-2".parse().unwrap(),
            relay: Some(RelayId(3)),
            method: "GET".into(),
            path: "/x".into(),
            status: Some(200),
            code: None,
            detail: String::new(),
            request_bytes: 0,
            response_bytes: 5,
            connect_ms: Some(0.5),
            first_byte_ms: Some(1.5),
            total_ms: 2.0,
            reused: true,
        });
        drop(log);
        writer.join().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let line: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
        assert_eq!((&line["time"], &line["app"]), (&"1970-01-01T00:00:00Z".into(), &"a1-2".into()));
        assert_eq!((line["status"].as_u64(), line.get("code")), (Some(200), None));
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn what_the_writer_cannot_take_is_counted_not_waited_for() {
        let counters = Arc::new(Counters::default());
        let (sender, _receiver) = sync_channel(0);
        let log = TransactionLog { sender: Some(sender), counters: Arc::clone(&counters) };
        log.write(Transaction {
            time: SystemTime::UNIX_EPOCH,
            request: RequestId(7),
            app: "a1-2".parse().unwrap(),
            relay: None,
            method: String::new(),
            path: String::new(),
            status: None,
            code: Some("backend-refused"),
            detail: String::new(),
            request_bytes: 0,
            response_bytes: 0,
            connect_ms: None,
            first_byte_ms: None,
            total_ms: 0.0,
            reused: false,
        });
        assert_eq!(counters.transactions_dropped.value(), 1);
    }
}
