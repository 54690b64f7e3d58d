//! One request's record: a line of the access log and a sample of each stage, written at one place whatever became of the
//! request. The times are completed at the end of the loop's turn, when the answer's last bytes are on their way.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use postern_http::{Known, RequestHead};
use postern_io::turn::{TurnEnd, after_output};
use postern_io::{Instant, read_clock, wall_clock};
use postern_model::ids::AppId;
use postern_model::question::Stage;
use time::OffsetDateTime;

use super::request::{Outcome, Transaction};
use super::session::Session;
use crate::limits::{LOGGED_TEXT_BYTES_MAX, TURN_LINES_BYTES_MAX};
use crate::record::book::{AppFigures, BookWriter};
use crate::record::lane::{Batch, LaneWriter};
use crate::record::line::{Line, TIME_BYTES, push_member};

/// Where a worker records requests.
pub(crate) struct Recorder {
    book: BookWriter,
    lane: LaneWriter,
    fields: LogFields,
    clock: RefCell<WallClock>,
    turn: RefCell<Turn>,
    is_due: Cell<bool>,
}

/// What the operator wants to see in the log beyond what is always there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct LogFields {
    /// The query may hold secrets.
    pub(crate) query: bool,
    pub(crate) user_agent: bool,
}

/// Requests that were answered in this turn.
#[derive(Default)]
struct Turn {
    /// Their lines, without the last times and the end.
    text: String,
    ended: Vec<Ended>,
    batch: Batch,
}

/// What completes a line.
struct Ended {
    /// Where its text ends.
    text_end: usize,
    arrived: Instant,
    first_byte: FirstByte,
    figures: Option<Arc<AppFigures>>,
    /// Its end is that of an exchange: not that of another protocol, after hours.
    is_timed: bool,
    refused: bool,
}

/// When the first byte of the answer was queued.
enum FirstByte {
    Never,
    After(Duration),
    WithTheLast,
}

/// When the stages of one request began and ended. `arrived` and `answered` are the turns' times, at which the bytes were
/// there; the others were read from the clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// The head's last byte was there.
    pub(crate) arrived: Instant,
    /// The first stage began.
    pub(crate) begun: Instant,
    /// The last stage before forwarding ended.
    pub(crate) decided: Option<Instant>,
    /// The last stream was opened.
    pub(crate) opened: Option<Instant>,
    /// The answer's head came through the tunnel.
    pub(crate) answered: Option<Instant>,
    /// What the connector says of the backend.
    pub(crate) backend_us: Option<u32>,
    /// The first byte of the answer was queued, in an earlier turn than the last.
    pub(crate) first_byte: Option<Instant>,
}

impl Recorder {
    pub(crate) fn new(book: BookWriter, lane: LaneWriter, fields: LogFields) -> Rc<Self> {
        Rc::new(Self {
            book,
            lane,
            fields,
            clock: RefCell::default(),
            turn: RefCell::default(),
            is_due: Cell::new(false),
        })
    }

    /// Records a request that is over. `head` is missing where none was understood.
    pub(crate) fn record(self: &Rc<Self>, transaction: &Transaction, session: &Session, head: Option<&RequestHead>) {
        let figures = transaction.app.as_ref().map(|app| self.book.app(app));
        match &figures {
            Some(figures) => {
                figures.answers.count(transaction.status);
                figures.bytes_in.add(transaction.request_bytes);
                figures.bytes_out.add(transaction.response_bytes);
            }
            None => self.book.book().unrouted.count(transaction.status),
        }
        let code = transaction.code();
        if let (Some(code), Outcome::Refused(_)) = (code, &transaction.outcome) {
            self.book.refused(code);
        }
        let handshake = session.take_handshake();
        let turn = &mut *self.turn.borrow_mut();
        self.write_line(&mut turn.text, transaction, session, head);
        let figures_now = figures.as_deref();
        if let Some(handshake) = handshake {
            sample(&mut turn.text, figures_now, Stage::Tls, micros(handshake));
        }
        transaction.times.stages(|stage, us| sample(&mut turn.text, figures_now, stage, us));
        turn.ended.push(Ended {
            text_end: turn.text.len(),
            arrived: transaction.times.arrived,
            first_byte: transaction.first_byte(),
            figures,
            is_timed: !transaction.switched,
            refused: code.is_some(),
        });
        if turn.text.len() > TURN_LINES_BYTES_MAX {
            self.complete(turn);
        }
        self.at_the_turns_end();
    }

    /// Forgets applications that are no longer published.
    pub(crate) fn retain(&self, is_there: impl Fn(AppId) -> bool) {
        self.book.retain(is_there);
    }

    /// Lines that could not be handed over when their turn ended, if there are any.
    pub(crate) fn flush(&self) {
        self.hand_over(&mut self.turn.borrow_mut());
    }

    fn at_the_turns_end(self: &Rc<Self>) {
        if !self.is_due.replace(true) {
            after_output(Rc::clone(self) as Rc<dyn TurnEnd>);
        }
    }

    fn write_line(&self, out: &mut String, transaction: &Transaction, session: &Session, head: Option<&RequestHead>) {
        let mut clock = self.clock.borrow_mut();
        let mut line = Line::begin(out, clock.text(transaction.times.arrived), transaction.request);
        if let Some(app) = &transaction.app {
            line.app(app.id);
            line.word("app_name", app.name.as_str());
        }
        if let Some(subject) = &transaction.subject {
            subject.write(&mut line);
        }
        if let Some(network) = &transaction.network {
            line.word("network", network);
        }
        line.client(session.address);
        if let Some(head) = head {
            line.request(head, self.fields.query);
        }
        if let Some(version) = session.tls_version() {
            line.word("tls", version);
        }
        if let Some(status) = transaction.status {
            line.number("status", status.into());
        }
        line.number("bytes_in", transaction.request_bytes);
        line.number("bytes_out", transaction.response_bytes);
        if let Some(connector) = transaction.connector {
            line.connector(connector);
        }
        if transaction.attempts > 1 {
            line.number("attempts", transaction.attempts.into());
        }
        if let Some(code) = transaction.code() {
            line.word("culprit", transaction.culprit());
            line.word("code", code);
            line.text("detail", transaction.detail.as_str(), LOGGED_TEXT_BYTES_MAX);
        }
        if self.fields.user_agent
            && let Some(agent) = head.and_then(|head| head.headers.get(Known::UserAgent))
        {
            line.text("user_agent", &String::from_utf8_lossy(agent), LOGGED_TEXT_BYTES_MAX);
        }
        line.times();
    }

    /// Adds the last times to all lines of the turn, and hands them over.
    fn complete(&self, turn: &mut Turn) {
        let now = read_clock();
        let mut begin = 0;
        for ended in turn.ended.drain(..) {
            let lines = &mut turn.batch.lines;
            let line_begin = lines.len();
            lines.push_str(&turn.text[begin..ended.text_end]);
            begin = ended.text_end;
            let total = now.since(ended.arrived);
            let figures = ended.figures.as_deref();
            match ended.first_byte {
                FirstByte::Never => {}
                FirstByte::After(after) => sample(lines, figures, Stage::FirstByte, micros(after)),
                FirstByte::WithTheLast => sample(lines, figures, Stage::FirstByte, micros(total)),
            }
            sample(lines, figures.filter(|_| ended.is_timed), Stage::Total, micros(total));
            lines.push_str("}}\n");
            if ended.refused {
                turn.batch.refused.push_str(&lines[line_begin..]);
            }
        }
        turn.text.clear();
        self.hand_over(turn);
    }

    fn hand_over(&self, turn: &mut Turn) {
        if !turn.batch.is_empty() {
            // If not now, then with the next lines, or when the worker keeps house.
            let _ = self.lane.hand_over(&mut turn.batch);
        }
    }
}

impl TurnEnd for Recorder {
    fn turn_end(self: Rc<Self>) {
        self.is_due.set(false);
        self.complete(&mut self.turn.borrow_mut());
    }
}

impl Times {
    /// Of a request whose head is there now; reads the clock.
    pub(crate) fn begin() -> Self {
        Self {
            arrived: postern_io::now(),
            begun: read_clock(),
            decided: None,
            opened: None,
            answered: None,
            backend_us: None,
            first_byte: None,
        }
    }

    /// The stages that were reached, but the last two.
    fn stages(&self, mut each: impl FnMut(Stage, u64)) {
        each(Stage::Queue, micros(self.begun.since(self.arrived)));
        let Some(decided) = self.decided else { return };
        each(Stage::Policy, micros(decided.since(self.begun)));
        let (Some(opened), Some(answered), Some(backend_us)) = (self.opened, self.answered, self.backend_us) else {
            return;
        };
        each(Stage::Tunnel, micros(answered.since(opened)).saturating_sub(backend_us.into()));
        each(Stage::Backend, backend_us.into());
    }
}

impl Transaction {
    fn first_byte(&self) -> FirstByte {
        match (self.status, self.times.first_byte) {
            (None, _) => FirstByte::Never,
            (Some(_), Some(at)) => FirstByte::After(at.since(self.times.arrived)),
            (Some(_), None) => FirstByte::WithTheLast,
        }
    }
}

/// Writes a time, and counts it where somebody is interested.
fn sample(line: &mut String, figures: Option<&AppFigures>, stage: Stage, us: u64) {
    push_member(line, stage.as_str(), us);
    if let Some(figures) = figures {
        figures.stages[stage.index()].record(us);
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// The engine's instants as UTC. Whole seconds are formatted once; the system's clock is asked as often.
#[derive(Debug)]
struct WallClock {
    /// Nanoseconds from the engine's origin to 1970, negated.
    origin_unix_ns: u64,
    second: u64,
    text: String,
}

impl Default for WallClock {
    fn default() -> Self {
        Self { origin_unix_ns: 0, second: u64::MAX, text: String::new() }
    }
}

impl WallClock {
    /// RFC 3339 with milliseconds.
    fn text(&mut self, at: Instant) -> &str {
        let second = (self.origin_unix_ns + at.as_nanos()) / NS_PER_S;
        if second != self.second {
            self.set(at);
        }
        let ms = (self.origin_unix_ns + at.as_nanos()) / NS_PER_MS % 1000;
        let fraction = [b'0' + (ms / 100) as u8, b'0' + (ms / 10 % 10) as u8, b'0' + (ms % 10) as u8];
        self.text.truncate(SECOND_BYTES);
        self.text.push('.');
        self.text.extend(fraction.map(char::from));
        self.text.push('Z');
        &self.text
    }

    fn set(&mut self, at: Instant) {
        let unix_ns = u64::try_from(wall_clock().as_nanos()).unwrap_or(u64::MAX / 2);
        self.origin_unix_ns = unix_ns.saturating_sub(read_clock().as_nanos());
        self.second = (self.origin_unix_ns + at.as_nanos()) / NS_PER_S;
        let seconds = i64::try_from(self.second).unwrap_or_default();
        let time = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let (date, clock) = (time.date(), time.time());
        self.text = format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
            date.year().clamp(0, 9999),
            u8::from(date.month()),
            date.day(),
            clock.hour(),
            clock.minute(),
            clock.second()
        );
        debug_assert_eq!(self.text.len() + ".000Z".len(), TIME_BYTES, "times have one length");
    }
}

const NS_PER_S: u64 = 1_000_000_000;
const NS_PER_MS: u64 = 1_000_000;
const SECOND_BYTES: usize = TIME_BYTES - ".000Z".len();
