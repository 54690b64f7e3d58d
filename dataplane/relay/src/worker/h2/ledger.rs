//! One connection's account: what its client makes the relay do without asking for anything, against what it is worth.
//! The h2 library bounds memory and the worst of it; this bounds the rest, whatever form it takes. It also names errors
//! that the library passes over or calls by another name.

use h2::Reason;
use postern_io::{Instant, now};

use super::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, Frames, GOAWAY, HEADERS, PING, PRIORITY, PUSH_PROMISE,
    RST_STREAM, SETTINGS, WINDOW_UPDATE,
};
use crate::limits::{H2_CREDIT_MAX, H2_CREDIT_PER_ANSWER, H2_CREDIT_PER_S};

/// The account. Credit grows with time and with every frame of an answer, up to [`H2_CREDIT_MAX`]; frames that ask for
/// nothing cost some. Below nothing the connection is closed.
#[derive(Debug)]
pub(super) struct Ledger {
    received: Frames,
    sent: Frames,
    credit: u32,
    refilled: Instant,
    verdict: Option<Reason>,
    /// Since when a frame, or a head that spans several, is incomplete.
    begun: Option<Instant>,
    in_head: bool,
    /// When a frame of a request or an answer last passed.
    active: Instant,
}

impl Ledger {
    pub(super) fn new() -> Self {
        Self {
            received: Frames::after_preface(),
            sent: Frames::new(),
            credit: H2_CREDIT_MAX,
            refilled: now(),
            verdict: None,
            begun: Some(now()),
            in_head: false,
            active: now(),
        }
    }

    /// These bytes came from the client.
    pub(super) fn receive(&mut self, bytes: &[u8]) {
        let (mut cost, mut active, mut another) = (0, false, false);
        let (in_head, verdict) = (&mut self.in_head, &mut self.verdict);
        self.received.pass(bytes, |frame| {
            *verdict = verdict.or_else(|| error(frame));
            cost += price(frame);
            active |= matches!(frame.kind, DATA | HEADERS);
            another |= !*in_head;
            if matches!(frame.kind, HEADERS | CONTINUATION) {
                *in_head = frame.flags & END_HEADERS == 0;
            }
        });
        if active {
            self.active = now();
        }
        if !self.in_head && !self.received.is_inside() {
            self.begun = None;
        } else if self.begun.is_none() || another {
            // What was begun before is complete, although these bytes do not end where a frame does.
            self.begun = Some(now());
        }
        if cost > 0 {
            self.charge(cost);
        }
    }

    /// These bytes go to the client.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        let mut answers = 0;
        self.sent.pass(bytes, |frame| answers += u32::from(matches!(frame.kind, DATA | HEADERS)));
        if answers > 0 {
            self.active = now();
            self.credit = self.credit.saturating_add(answers * H2_CREDIT_PER_ANSWER).min(H2_CREDIT_MAX);
        }
    }

    /// Why the connection has to end, if it has.
    pub(super) fn verdict(&self) -> Option<Reason> {
        self.verdict
    }

    /// Since when a frame or a head is incomplete.
    pub(super) fn begun(&self) -> Option<Instant> {
        self.begun
    }

    /// When a frame of a request or an answer last passed.
    pub(super) fn active(&self) -> Instant {
        self.active
    }

    fn charge(&mut self, cost: u32) {
        let whole_s = now().since(self.refilled).as_secs();
        if whole_s > 0 {
            self.refilled = now();
            let gained = u32::try_from(whole_s).unwrap_or(u32::MAX).saturating_mul(H2_CREDIT_PER_S);
            self.credit = self.credit.saturating_add(gained).min(H2_CREDIT_MAX);
        }
        match self.credit.checked_sub(cost) {
            Some(left) => self.credit = left,
            None => self.verdict = self.verdict.or(Some(Reason::ENHANCE_YOUR_CALM)),
        }
    }
}

/// What of a frame's header alone is an error: a length that its kind cannot have (RFC 9113 §6), a push by a client (§8.4).
fn error(frame: Frame) -> Option<Reason> {
    let fits = match frame.kind {
        PING => frame.bytes == 8,
        PRIORITY => frame.bytes == 5,
        RST_STREAM | WINDOW_UPDATE => frame.bytes == 4,
        SETTINGS if frame.flags & ACK != 0 => frame.bytes == 0,
        SETTINGS => frame.bytes.is_multiple_of(6),
        PUSH_PROMISE => return Some(Reason::PROTOCOL_ERROR),
        // The library knows the limit of the others.
        _ => true,
    };
    (!fits).then_some(Reason::FRAME_SIZE_ERROR)
}

/// What a client's frame costs. A reset has made the relay begin a request for nothing, SETTINGS walk over every stream,
/// and PING wants an answer; heads and content are what a connection is for.
fn price(frame: Frame) -> u32 {
    match frame.kind {
        HEADERS => 0,
        DATA if frame.bytes > 0 || frame.flags & END_STREAM != 0 => 0,
        SETTINGS | PING if frame.flags & ACK != 0 => 1,
        RST_STREAM | SETTINGS => 5,
        PING => 2,
        GOAWAY => 5,
        // Empty DATA, PRIORITY, WINDOW_UPDATE, CONTINUATION, unknown ones.
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postern_io::{BackendKind, Runtime, RuntimeOptions, sleep};
    use std::time::Duration;

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let mut bytes = vec![0, 0, payload as u8, kind, flags, 0, 0, 0, 1];
        bytes.resize(9 + payload, 0);
        bytes
    }

    fn ready() -> Ledger {
        let mut ledger = Ledger::new();
        ledger.receive(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        ledger
    }

    fn in_the_simulator(test: impl Future<Output = ()> + 'static) {
        let options = RuntimeOptions { backend: BackendKind::Sim, seed: Some(1), ..RuntimeOptions::default() };
        Runtime::new(options).unwrap().run(test).unwrap();
    }

    #[test]
    fn floods_overdraw_and_ordinary_use_does_not() {
        in_the_simulator(async {
            for (kind, payload) in [(PING, 8), (RST_STREAM, 4), (SETTINGS, 6), (8, 4), (2, 5), (DATA, 0), (0x42, 0)] {
                let mut ledger = ready();
                let flood = frame(kind, 0, payload).repeat(H2_CREDIT_MAX as usize + 1);
                ledger.receive(&flood);
                assert_eq!(ledger.verdict(), Some(Reason::ENHANCE_YOUR_CALM), "kind {kind}");
            }
            let mut ledger = ready();
            for _ in 0..10_000 {
                ledger.receive(&frame(HEADERS, END_HEADERS | END_STREAM, 20));
                ledger.send(&frame(HEADERS, END_HEADERS, 20));
                ledger.send(&frame(DATA, END_STREAM, 20));
                ledger.receive(&frame(8, 0, 4).repeat(2));
            }
            assert_eq!(ledger.verdict(), None);
        });
    }

    #[test]
    fn errors_of_form_are_called_by_their_names() {
        in_the_simulator(async {
            let table = [
                (PING, 0, 6, Reason::FRAME_SIZE_ERROR),
                (SETTINGS, ACK, 6, Reason::FRAME_SIZE_ERROR),
                (SETTINGS, 0, 5, Reason::FRAME_SIZE_ERROR),
                (RST_STREAM, 0, 5, Reason::FRAME_SIZE_ERROR),
                (PRIORITY, 0, 4, Reason::FRAME_SIZE_ERROR),
                (WINDOW_UPDATE, 0, 0, Reason::FRAME_SIZE_ERROR),
                (PUSH_PROMISE, END_HEADERS, 8, Reason::PROTOCOL_ERROR),
            ];
            for (kind, flags, payload, reason) in table {
                let mut ledger = ready();
                ledger.receive(&frame(kind, flags, payload));
                assert_eq!(ledger.verdict(), Some(reason), "kind {kind}");
            }
        });
    }

    #[test]
    fn credit_comes_back_with_time() {
        in_the_simulator(async {
            let mut ledger = ready();
            let ping_a_second = H2_CREDIT_PER_S / 2;
            for _ in 0..100 {
                for _ in 0..ping_a_second {
                    ledger.receive(&frame(PING, 0, 8));
                }
                sleep(Duration::from_secs(1)).await;
            }
            assert_eq!(ledger.verdict(), None);
        });
    }

    #[test]
    fn content_that_comes_without_a_pause_is_never_begun_for_long() {
        in_the_simulator(async {
            let mut ledger = ready();
            let content = frame(DATA, 0, 200).repeat(100);
            // No piece ends where a frame does.
            for piece in content.chunks(150) {
                ledger.receive(piece);
                assert!(ledger.begun().is_none_or(|begun| now().since(begun) <= Duration::from_secs(2)));
                sleep(Duration::from_secs(1)).await;
            }
        });
    }

    #[test]
    fn what_is_begun_is_known_until_it_is_complete() {
        in_the_simulator(async {
            let mut ledger = ready();
            assert!(ledger.begun().is_none());
            let head = frame(HEADERS, 0, 20);
            ledger.receive(&head[..15]);
            let begun = ledger.begun().unwrap();
            sleep(Duration::from_secs(1)).await;
            ledger.receive(&head[15..]);
            assert_eq!(ledger.begun(), Some(begun), "the frame is complete, its head is not");
            ledger.receive(&frame(CONTINUATION, END_HEADERS, 4));
            assert_eq!(ledger.begun(), None);
            assert_eq!(ledger.active(), begun);
        });
    }
}
