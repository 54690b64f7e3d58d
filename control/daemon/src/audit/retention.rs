//! How long records are kept. The base of a log is moved forward and noted in the audit log, in one change; from then on what
//! is before it is no part of the log, and its rows are deleted a few at a time.

use std::time::Duration;

use postern_model::chain::{LogKind, Mark};
use postern_service::duration;

use crate::control::{Actor, Audit, Control, Draft};
use crate::limits::RECORDS_REMOVED_AT_ONCE;
use crate::store::{Cut, StoreError};

/// How long the records of a log are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    Forever,
    For(Duration),
}

/// How long records are kept.
#[derive(clap::Args, Debug, Clone)]
pub(crate) struct RetentionArgs {
    /// How long audit records are kept: `forever`, or at least 30d
    #[arg(long, value_name = "DURATION", default_value = "forever", value_parser = audit_keep)]
    pub(crate) audit_retention: Keep,
    /// How long sign-in records are kept: `forever`, or at least 1d
    #[arg(long, value_name = "DURATION", default_value = "90d", value_parser = sign_in_keep)]
    pub(crate) sign_in_retention: Keep,
}

impl RetentionArgs {
    fn each(&self) -> [(LogKind, Keep); 2] {
        [(LogKind::SignIn, self.sign_in_retention), (LogKind::Audit, self.audit_retention)]
    }
}

fn audit_keep(text: &str) -> Result<Keep, String> {
    keep(text, AUDIT_KEPT_MIN)
}

fn sign_in_keep(text: &str) -> Result<Keep, String> {
    keep(text, SIGN_IN_KEPT_MIN)
}

fn keep(text: &str, least: Duration) -> Result<Keep, String> {
    if text == "forever" {
        return Ok(Keep::Forever);
    }
    match duration::parse(text)? {
        kept if kept < least => Err(format!("`{text}` is less than {}", duration::human(least))),
        kept => Ok(Keep::For(kept)),
    }
}

/// Removes what is older than it is to be kept. Others get their turn in between; what is left undone is done the next time.
pub(crate) async fn enforce(control: &Control, kept: &RetentionArgs, now_unix_ms: u64) {
    for (log, keep) in kept.each() {
        if let Keep::For(kept) = keep {
            let kept_ms = u64::try_from(kept.as_millis()).unwrap_or(u64::MAX);
            cut(control, log, now_unix_ms.saturating_sub(kept_ms), kept).await;
        }
        if let Err(error) = sweep(control, log).await {
            tracing::warn!(%error, log = log.as_str(), "records that are no longer kept could not be deleted: the next hour tries again");
        }
    }
}

/// Moves the base behind the records at the front that are older.
async fn cut(control: &Control, log: LogKind, before_unix_ms: u64, kept: Duration) {
    let found = oldest_kept(control, log, before_unix_ms).await;
    let (first, base) = match found {
        Ok(Some(found)) => found,
        Ok(None) => return,
        Err(error) => return tracing::warn!(%error, log = log.as_str(), "old records could not be looked for"),
    };
    let mut draft = Draft::default();
    draft.cut(Cut { log, base });
    draft.audit(Audit {
        action: "audit.remove",
        tenant: None,
        target: format!("{} records {first} to {}", log.as_str(), base.seq),
        before: None,
        after: Some(format!("kept for {}; the first one kept follows {base}", duration::human(kept))),
    });
    match control.commit(&Actor::Control, draft) {
        Ok(_) => tracing::info!(
            log = log.as_str(),
            first,
            last = base.seq,
            "records that are older than they are to be kept were removed"
        ),
        Err(error) => tracing::warn!(%error, log = log.as_str(), "old records could not be removed"),
    }
}

/// The number of the first record, and the last one of those at the front that are older.
async fn oldest_kept(control: &Control, log: LogKind, before_unix_ms: u64) -> Result<Option<(u64, Mark)>, StoreError> {
    let base = control.records(|store| store.chain(log))?.base.seq;
    let (mut after, mut found) = (base, None);
    loop {
        let asked = RECORDS_REMOVED_AT_ONCE;
        let Some(last) = control.records(|store| store.older(log, after, before_unix_ms, asked))? else { break };
        found = Some((base + 1, last));
        if last.seq < after + u64::from(asked) {
            break;
        }
        after = last.seq;
        tokio::task::yield_now().await;
    }
    Ok(found)
}

async fn sweep(control: &Control, log: LogKind) -> Result<(), StoreError> {
    while control.records(|store| store.sweep(log, RECORDS_REMOVED_AT_ONCE))? > 0 {
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Whoever looks into something once a month still finds who did it.
const AUDIT_KEPT_MIN: Duration = Duration::from_secs(30 * 86_400);
/// Long enough to see an attack that is under way.
const SIGN_IN_KEPT_MIN: Duration = Duration::from_secs(86_400);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_kept_for_a_while_at_least() {
        assert_eq!(audit_keep("forever"), Ok(Keep::Forever));
        assert_eq!(audit_keep("30d"), Ok(Keep::For(AUDIT_KEPT_MIN)));
        assert_eq!(audit_keep("29d").unwrap_err(), "`29d` is less than 30d");
        assert_eq!(sign_in_keep("1d"), Ok(Keep::For(SIGN_IN_KEPT_MIN)));
        for wrong in ["23h", "0", "never", "", "11000d"] {
            assert!(sign_in_keep(wrong).is_err(), "{wrong}");
        }
    }
}
