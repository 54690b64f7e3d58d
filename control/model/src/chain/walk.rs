//! The walk along a chain, record by record, and how a chain can be broken.

use serde::{Deserialize, Serialize};

use super::{Chained, Mark};

/// How a chain is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Damage {
    /// A record does not have the content that its hash was taken of.
    Changed,
    /// Records are not there.
    Missing,
    /// A record stands where another one stood.
    Reordered,
    /// The record is whole, but follows another one than is there: something before it was written anew.
    Replaced,
    /// The log is whole, but not the one that was noted.
    Rewritten,
    /// What was noted is older than what is kept, or not in the file: nothing can be said about it.
    OutOfReach,
}

/// The first place where a chain is broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broken {
    /// The record's number.
    pub seq: u64,
    /// How.
    pub damage: Damage,
    /// In words: one line.
    pub detail: String,
}

impl Broken {
    fn new(seq: u64, damage: Damage, detail: impl Into<String>) -> Self {
        Self { seq, damage, detail: detail.into() }
    }
}

/// A walk along a chain, record by record.
///
/// Call order: [`Walk::new`], [`Walk::step`] for each record by number, [`Walk::end`] with what the log says of itself.
#[derive(Debug, Clone)]
pub struct Walk {
    last: Mark,
    records: u64,
    expected: Option<Mark>,
    met: bool,
}

impl Walk {
    /// Begins behind `base`; `expected` must be met on the way, if it is given.
    #[must_use]
    pub fn new(base: Mark, expected: Option<Mark>) -> Self {
        Self { last: base, records: 0, expected, met: false }
    }

    /// Where it is.
    #[must_use]
    pub const fn last(&self) -> Mark {
        self.last
    }

    /// Records that were found whole.
    #[must_use]
    pub const fn records(&self) -> u64 {
        self.records
    }

    /// Goes on behind `base`: what was before it is no longer kept.
    pub fn skip_to(&mut self, base: Mark) {
        if base.seq > self.last.seq {
            self.last = base;
        }
    }

    /// Looks at the next record.
    ///
    /// # Errors
    /// The chain is broken here.
    pub fn step<R: Chained>(&mut self, record: &R) -> Result<(), Broken> {
        let (seq, next) = (record.seq(), self.last.seq.saturating_add(1));
        if seq < next {
            let detail = format!("record {seq} stands behind record {}", self.last.seq);
            return Err(Broken::new(seq, Damage::Reordered, detail));
        }
        self.meet()?;
        if seq > next {
            return Err(missing(next, seq - 1));
        }
        if record.computed() != record.hash() {
            return Err(changed(record));
        }
        if record.previous() != self.last.hash {
            let detail = format!(
                "record {seq} is whole, but follows another record {} than the one that is there",
                self.last.seq
            );
            return Err(Broken::new(seq, Damage::Replaced, detail));
        }
        self.last = record.mark();
        self.records += 1;
        Ok(())
    }

    /// The end was reached: `head` is what the log says of itself, where it does.
    ///
    /// # Errors
    /// Records are missing at the end, or the expected one was not met.
    pub fn end(&mut self, head: Option<Mark>) -> Result<(), Broken> {
        self.meet()?;
        match head {
            Some(head) if head.seq > self.last.seq => return Err(missing(self.last.seq + 1, head.seq)),
            Some(head) if head != self.last => {
                let detail = format!("the log says that it ends with record {}, another one than is there", head.seq);
                return Err(Broken::new(head.seq, Damage::Replaced, detail));
            }
            Some(_) | None => {}
        }
        match self.expected.filter(|_| !self.met) {
            Some(expected) if expected.seq > self.last.seq => {
                let detail = format!(
                    "the log ends with record {}, record {} was there once: records were cut off at its end",
                    self.last.seq, expected.seq
                );
                Err(Broken::new(self.last.seq.saturating_add(1), Damage::Missing, detail))
            }
            Some(expected) => {
                let detail =
                    format!("record {} is older than what is here: nothing can be said about it", expected.seq);
                Err(Broken::new(expected.seq, Damage::OutOfReach, detail))
            }
            None => Ok(()),
        }
    }

    /// Compares with what was noted, once the walk is there.
    fn meet(&mut self) -> Result<(), Broken> {
        match self.expected {
            Some(expected) if expected.seq == self.last.seq => {
                self.met = true;
                if expected.hash == self.last.hash {
                    return Ok(());
                }
                let detail =
                    format!("record {} has another hash than was noted: the log was written anew", expected.seq);
                Err(Broken::new(expected.seq, Damage::Rewritten, detail))
            }
            Some(_) | None => Ok(()),
        }
    }
}

fn missing(first: u64, last: u64) -> Broken {
    let detail = match first == last {
        true => format!("record {first} is missing"),
        false => format!("records {first} to {last} are missing"),
    };
    Broken::new(first, Damage::Missing, detail)
}

/// A record whose content does not give its hash: tells one that has moved from one that was changed.
fn changed<R: Chained>(record: &R) -> Broken {
    let seq = record.seq();
    let near = seq.saturating_sub(MOVED_MAX)..=seq.saturating_add(MOVED_MAX);
    let was = near.into_iter().find(|&other| {
        let mut moved = record.clone();
        moved.place(other, record.previous(), record.hash());
        moved.computed() == record.hash()
    });
    match was {
        Some(was) => {
            let detail = format!("what stands as record {seq} was record {was}");
            Broken::new(seq, Damage::Reordered, detail)
        }
        None => {
            Broken::new(seq, Damage::Changed, format!("record {seq} was changed: its content does not give its hash"))
        }
    }
}

/// How far from its place a record is looked for.
const MOVED_MAX: u64 = 1_000;
