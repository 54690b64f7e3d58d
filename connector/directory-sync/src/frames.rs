//! LDAP messages as they come, looked at before the library reads them: it goes as deep as they are nested, and keeps some hundred
//! bytes for an element of two. What passes is read by it as it was read here.

use std::cell::Cell;

use crate::limits::{ANSWER_BYTES_MAX, ANSWER_ELEMENTS_MAX, DEPTH_MAX};

/// What may still come as the answer to the present question.
pub(crate) struct Budget {
    bytes: Cell<usize>,
    elements: Cell<usize>,
    /// Why the connection was ended.
    broken: Cell<Option<&'static str>>,
}

impl Default for Budget {
    fn default() -> Self {
        let (bytes, elements) = (Cell::new(ANSWER_BYTES_MAX), Cell::new(ANSWER_ELEMENTS_MAX));
        Self { bytes, elements, broken: Cell::default() }
    }
}

impl Budget {
    /// The next question has an answer of its own.
    pub(crate) fn refill(&self) {
        self.bytes.set(ANSWER_BYTES_MAX);
        self.elements.set(ANSWER_ELEMENTS_MAX);
    }

    /// Why the connection was ended, if it was on our side.
    pub(crate) fn broken(&self) -> Option<&'static str> {
        self.broken.get()
    }
}

/// Parts messages.
#[derive(Default)]
pub(crate) struct Frames {
    /// What was not passed on yet: less than one message.
    waiting: Vec<u8>,
}

impl Frames {
    /// What has come; the whole messages that are there now, or nothing where the connection is to end.
    pub(crate) fn take(&mut self, bytes: &[u8], budget: &Budget) -> Option<Vec<u8>> {
        let taken = self.taken(bytes, budget);
        taken.map_err(|why| budget.broken.set(Some(why))).ok()
    }

    fn taken(&mut self, bytes: &[u8], budget: &Budget) -> Result<Vec<u8>, &'static str> {
        budget.bytes.set(budget.bytes.get().checked_sub(bytes.len()).ok_or(TOO_LONG)?);
        self.waiting.extend_from_slice(bytes);
        let mut whole = 0;
        while let Some(message) = header(&self.waiting[whole..])? {
            if message.tag != SEQUENCE {
                return Err(MALFORMED);
            }
            if message.end > ANSWER_BYTES_MAX {
                return Err(TOO_LONG);
            }
            let Some(message) = self.waiting.get(whole..whole + message.end) else { break };
            let elements = walked(message, budget.elements.get())?;
            budget.elements.set(budget.elements.get() - elements);
            whole += message.len();
        }
        if whole == 0 {
            return Ok(Vec::new());
        }
        let rest = self.waiting.split_off(whole);
        Ok(std::mem::replace(&mut self.waiting, rest))
    }
}

struct Header {
    tag: u8,
    /// Where its contents begin, and where they end.
    begin: usize,
    end: usize,
}

/// `None`: more has to come.
fn header(bytes: &[u8]) -> Result<Option<Header>, &'static str> {
    let [tag, first, rest @ ..] = bytes else { return Ok(None) };
    let (mut begin, mut length) = (2, usize::from(*first));
    if *first >= 0x80 {
        let long = usize::from(first & 0x7f);
        // RFC 4511 §5.1: the definite form. Four bytes are 4 GiB.
        if !(1..=4).contains(&long) {
            return Err(MALFORMED);
        }
        let Some(long) = rest.get(..long) else { return Ok(None) };
        length = long.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        begin += long.len();
    }
    Ok(Some(Header { tag: *tag, begin, end: begin.saturating_add(length) }))
}

/// Looks at the header of everything in a message; how many elements there are.
fn walked(message: &[u8], most: usize) -> Result<usize, &'static str> {
    // Where what is open ends.
    let mut open: Vec<usize> = Vec::with_capacity(DEPTH_MAX);
    let (mut at, mut elements) = (0, 0);
    loop {
        while open.last() == Some(&at) {
            open.pop();
        }
        let within = match open.last() {
            Some(end) => *end,
            // The library expects a number and an operation without a doubt.
            None if at == message.len() => return if elements < 3 { Err(MALFORMED) } else { Ok(elements) },
            None => message.len(),
        };
        let Header { tag, begin, end } = header(&message[at..within])?.ok_or(MALFORMED)?;
        let (begin, end) = (at + begin, at.saturating_add(end));
        // RFC 4511 §4.1.1: a SEQUENCE that begins with an INTEGER, the message's number.
        if end > within || (elements == 1 && tag != INTEGER) {
            return Err(MALFORMED);
        }
        elements += 1;
        if elements > most {
            return Err(TOO_MANY);
        }
        if tag & CONSTRUCTED == 0 {
            at = end;
            continue;
        }
        if open.len() == DEPTH_MAX {
            return Err(TOO_DEEP);
        }
        open.push(end);
        at = begin;
    }
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const CONSTRUCTED: u8 = 0x20;
const MALFORMED: &str = "the answer is no LDAP message";
const TOO_LONG: &str = "the answer is longer than is possible";
const TOO_MANY: &str = "the answer has more elements than is possible";
const TOO_DEEP: &str = "the answer is nested deeper than is possible";

#[cfg(test)]
mod tests {
    use super::*;

    fn element(tag: u8, contents: &[u8]) -> Vec<u8> {
        let length = u32::try_from(contents.len()).unwrap().to_be_bytes();
        [&[tag, 0x84][..], &length, contents].concat()
    }

    fn message(contents: &[u8]) -> Vec<u8> {
        element(SEQUENCE, &[&[INTEGER, 1, 7][..], contents].concat())
    }

    /// What passes of it, or why the connection ends.
    fn taken(bytes: &[u8]) -> Result<usize, &'static str> {
        let (mut frames, budget) = (Frames::default(), Budget::default());
        let passed = frames.take(bytes, &budget);
        assert_eq!(passed.is_none(), budget.broken().is_some());
        budget.broken().map_or(Ok(passed.map_or(0, |passed| passed.len())), Err)
    }

    #[test]
    fn messages_pass_whole_however_they_come() {
        let one = message(&element(0x64, &element(0x04, b"cn=a")));
        let all = [one.clone(), message(&[0x65, 0])].concat();
        let (mut frames, budget) = (Frames::default(), Budget::default());
        let mut passed = Vec::new();
        for byte in &all {
            let now = frames.take(&[*byte], &budget).unwrap();
            assert!(now.is_empty() || now.len() == one.len() || passed.len() + now.len() == all.len());
            passed.extend(now);
        }
        assert_eq!(passed, all);
        assert_eq!(taken(&all), Ok(all.len()));
        assert_eq!(taken(&all[..all.len() - 1]), Ok(one.len()));
        budget.refill();
        assert_eq!((budget.bytes.get(), budget.elements.get()), (ANSWER_BYTES_MAX, ANSWER_ELEMENTS_MAX));
    }

    #[test]
    fn nesting_has_an_end() {
        let nested = |depth: usize| message(&(0..depth).fold(Vec::new(), |inner, _| element(SEQUENCE, &inner)));
        assert!(taken(&nested(DEPTH_MAX - 1)).is_ok());
        assert_eq!(taken(&nested(DEPTH_MAX)), Err(TOO_DEEP));
        assert_eq!(taken(&nested(10_000)), Err(TOO_DEEP));
    }

    #[test]
    fn elements_are_counted_over_the_whole_answer() {
        let tiny = |count: usize| message(&element(0x64, &[0x04, 0].repeat(count)));
        assert!(taken(&tiny(ANSWER_ELEMENTS_MAX - 3)).is_ok());
        assert_eq!(taken(&tiny(ANSWER_ELEMENTS_MAX - 2)), Err(TOO_MANY));
        assert_eq!(taken(&tiny(1).repeat(ANSWER_ELEMENTS_MAX / 4 + 1)), Err(TOO_MANY));
    }

    #[test]
    fn what_is_no_message_ends_the_connection() {
        for wrong in [
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            b"\x30\x80\x02\x01\x01\x00\x00",
            b"\x30\x85\x00\x00\x00\x00\x00",
            b"\x30\x00",
            b"\x30\x03\x02\x01\x01",
            b"\x30\x02\x04\x00",
            b"\x30\x05\x02\x01\x01\x04\x01",
            b"\x30\x06\x02\x01\x01\x64\x02\x04",
            b"\x30\x06\x02\x01\x01\x64\x01\x04",
        ] {
            assert_eq!(taken(wrong), Err(MALFORMED), "{wrong:?}");
        }
        assert_eq!(taken(b"\x30\x84\xff\xff\xff\xff\x02"), Err(TOO_LONG));
        assert_eq!(taken(&vec![0x30; ANSWER_BYTES_MAX + 1]), Err(TOO_LONG));
    }
}
