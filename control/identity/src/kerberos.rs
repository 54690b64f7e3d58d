//! The place's own key for Kerberos, and the threads that verify tickets with it. Control never sees the one or the other.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use postern_service::secret;
use postern_sso::acceptance::Acceptance;
use tokio::sync::Semaphore;

use crate::args::KerberosKey;
use crate::negotiate::Accepted;

/// What verifies tickets.
pub(crate) struct Acceptor {
    acceptance: Arc<Acceptance>,
    places: Semaphore,
    lines: Mutex<Lines>,
}

/// How many refused tickets the log tells one by one: anybody in a network where tickets count can send what is none. Control
/// records each in the sign-in log, as long as there are not many from one address.
#[derive(Debug, Default)]
struct Lines {
    /// When the first of this while was refused.
    began: Option<Instant>,
    refused: u64,
}

/// What the log says of a refused ticket.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    told: bool,
    /// So many of the while before were not.
    left_out: u64,
}

impl Lines {
    fn next(&mut self, now: Instant) -> Line {
        let mut left_out = 0;
        if self.began.is_none_or(|began| now.duration_since(began) >= LINES_WHILE) {
            left_out = self.refused.saturating_sub(LINES_MAX);
            *self = Self { began: Some(now), refused: 0 };
        }
        self.refused += 1;
        Line { told: self.refused <= LINES_MAX, left_out }
    }
}

impl Acceptor {
    /// With the key that the command line names. One that is there and no good is told, and may become good.
    pub(crate) fn open(key: &KerberosKey, state_dir: &Path) -> anyhow::Result<Self> {
        let KerberosKey { keytab, principal } = key;
        std::fs::File::open(keytab).with_context(|| format!("cannot read the keytab {}", keytab.display()))?;
        if let Some(warning) = secret::exposure(keytab) {
            tracing::warn!(path = %keytab.display(), "{warning}");
        }
        let acceptance = Acceptance::new(keytab, principal, &state_dir.join(REPLAYS_FILE))?;
        match acceptance.check() {
            Ok(()) => tracing::info!(principal, "Kerberos: the keytab is good"),
            Err(failure) => tracing::error!(principal, "Kerberos: nobody can sign in by a ticket: {failure}"),
        }
        Ok(Self { acceptance: Arc::new(acceptance), places: Semaphore::new(AT_ONCE_MAX), lines: Mutex::default() })
    }

    /// Whose ticket it is; `None`: it is not good. On a thread of its own, since files are read and written for it.
    pub(crate) async fn accept(&self, token: Vec<u8>) -> Option<Accepted> {
        let _place = self.places.acquire().await.ok()?;
        let acceptance = Arc::clone(&self.acceptance);
        let accepted = tokio::task::spawn_blocking(move || acceptance.accept(&token)).await.ok()?;
        let accepted = accepted.inspect_err(|refused| {
            // What panicked while it was held left numbers behind, nothing else.
            let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            let Line { told, left_out } = lines.next(Instant::now());
            if left_out > 0 {
                tracing::warn!("{left_out} more Kerberos tickets were refused");
            }
            if told {
                tracing::warn!("a Kerberos ticket is refused: {}", refused.words);
            }
        });
        accepted.ok().map(|accepted| Accepted { principal: accepted.principal, answer: accepted.answer })
    }
}

const REPLAYS_FILE: &str = "kerberos-replays";
/// Tickets that are verified at the same time; a browser waits for its turn, milliseconds.
const AT_ONCE_MAX: usize = 2;
/// So many lines about refused tickets in so long a time; then one that says how many were left out.
const LINES_MAX: u64 = 10;
const LINES_WHILE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_tells_some_refused_tickets_and_counts_the_rest() {
        let (mut lines, start) = (Lines::default(), Instant::now());
        let told = |lines: &mut Lines, after_s| lines.next(start + Duration::from_secs(after_s));
        let many: Vec<_> = (0..1_000).map(|nth| told(&mut lines, nth / 20)).collect();
        assert_eq!(many.iter().filter(|line| line.told).count(), 10);
        assert!(many.iter().all(|line| line.left_out == 0));
        assert_eq!(told(&mut lines, 60), Line { told: true, left_out: 990 }, "said once");
        assert_eq!(told(&mut lines, 61), Line { told: true, left_out: 0 });
        assert_eq!(told(&mut lines, 600), Line { told: true, left_out: 0 });
    }
}
