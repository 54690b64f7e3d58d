//! The audit log and the sign-in log for administrators: pages, and whether a log is as it was written. Nothing here takes
//! longer than a few milliseconds at once, however long a log is.

mod retention;

use postern_model::admin::{AuditRecord, LogHeads, LogPage, Problem, SignInRecord, Verified};
use postern_model::chain::{Broken, Chained, Damage, LogKind, Mark, Walk};

use crate::control::Control;
use crate::limits::{RECORDS_LOOKED_AT, RECORDS_LOOKED_AT_MAX, RECORDS_VERIFIED_AT_ONCE};
use crate::problem::problem;
use crate::store::records::{AuditFilter, Order, SignInFilter, Span, Times};
use crate::store::{Records, StoreError};

pub(crate) use retention::{RetentionArgs, enforce};

/// Records of one log, and how they are asked for.
pub(crate) trait Log: Chained {
    type Filter;

    fn find(store: &mut dyn Records, filter: &Self::Filter, span: Span) -> Result<Vec<Self>, StoreError>;

    fn times(filter: &Self::Filter) -> Times;

    /// A filter that lets everything pass.
    fn everything() -> Self::Filter;
}

impl Log for AuditRecord {
    type Filter = AuditFilter;

    fn find(store: &mut dyn Records, filter: &AuditFilter, span: Span) -> Result<Vec<Self>, StoreError> {
        store.audit(filter, span)
    }

    fn times(filter: &AuditFilter) -> Times {
        filter.times
    }

    fn everything() -> AuditFilter {
        AuditFilter::default()
    }
}

impl Log for SignInRecord {
    type Filter = SignInFilter;

    fn find(store: &mut dyn Records, filter: &SignInFilter, span: Span) -> Result<Vec<Self>, StoreError> {
        store.sign_ins(filter, span)
    }

    fn times(filter: &SignInFilter) -> Times {
        filter.times
    }

    fn everything() -> SignInFilter {
        SignInFilter::default()
    }
}

/// Which page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageAsked {
    /// Where it begins: before this number going down, or after it going up.
    pub(crate) from: Option<u64>,
    pub(crate) order: Order,
    pub(crate) limit: u32,
}

/// A page of a log. It looks at a stretch of numbers at a time, so that a filter that nothing passes holds nobody up.
pub(crate) async fn page<R: Log>(
    control: &Control,
    filter: &R::Filter,
    asked: PageAsked,
) -> Result<LogPage<R>, Problem> {
    let mut items = Vec::new();
    let read = |error| unreadable(R::LOG, &error);
    let Some((mut first, mut last)) = control.records(|store| bounds::<R>(store, filter, asked)).map_err(read)? else {
        return Ok(LogPage { items, next: None });
    };
    let mut looked_at = 0;
    while first <= last {
        if looked_at >= RECORDS_LOOKED_AT_MAX {
            let next = if asked.order == Order::NewestFirst { last + 1 } else { first - 1 };
            return Ok(LogPage { items, next: Some(next) });
        }
        let (low, high) = match asked.order {
            Order::NewestFirst => (first.max(last.saturating_sub(RECORDS_LOOKED_AT - 1)), last),
            Order::OldestFirst => (first, last.min(first.saturating_add(RECORDS_LOOKED_AT - 1))),
        };
        let missing = asked.limit.saturating_sub(crate::tenants::as_u32(items.len()));
        let span = Span { first: low, last: high, order: asked.order, limit: missing };
        items.extend(control.records(|store| R::find(store, filter, span)).map_err(read)?);
        match asked.order {
            Order::NewestFirst => last = low - 1,
            Order::OldestFirst => first = high + 1,
        }
        if items.len() >= asked.limit as usize {
            let reached = items.last().map(Chained::seq);
            let more = reached.filter(|reached| match asked.order {
                Order::NewestFirst => *reached > first,
                Order::OldestFirst => *reached < last,
            });
            return Ok(LogPage { items, next: more });
        }
        looked_at += RECORDS_LOOKED_AT;
        tokio::task::yield_now().await;
    }
    Ok(LogPage { items, next: None })
}

/// The numbers between which the page is, both included.
fn bounds<R: Log>(
    store: &mut dyn Records,
    filter: &R::Filter,
    asked: PageAsked,
) -> Result<Option<(u64, u64)>, StoreError> {
    let Some((first, last)) = store.between(R::LOG, R::times(filter))? else { return Ok(None) };
    let bounds = match (asked.from, asked.order) {
        (None, _) => (first, last),
        (Some(before), Order::NewestFirst) => (first, last.min(before.saturating_sub(1))),
        (Some(after), Order::OldestFirst) => (first.max(after.saturating_add(1)), last),
    };
    Ok(Some(bounds))
}

/// Where both logs end.
pub(crate) fn heads(control: &Control) -> Result<LogHeads, Problem> {
    let head = |log| {
        let chain = control.records(|store| store.chain(log));
        chain.map(|chain| chain.head).map_err(|error| unreadable(log, &error))
    };
    Ok(LogHeads { audit: head(LogKind::Audit)?, sign_in: head(LogKind::SignIn)? })
}

/// Walks a log from its base to its head. Others get their turn after each page; what is added or removed meanwhile is
/// taken as it is then.
pub(crate) async fn verify<R: Log>(control: &Control, expected: Option<Mark>) -> Result<Verified, Problem> {
    let base = control.records(|store| store.chain(R::LOG)).map_err(|error| unreadable(R::LOG, &error))?.base;
    let mut walk = Walk::new(base, expected);
    let broken = loop {
        match control.records(|store| stretch::<R>(store, &mut walk)).map_err(|error| unreadable(R::LOG, &error))? {
            Stretch::More => tokio::task::yield_now().await,
            Stretch::End => break None,
            Stretch::Broken(broken) => break Some(broken),
        }
    };
    if let Some(Broken { seq, detail, .. }) = &broken {
        tracing::error!(
            log = R::LOG.as_str(),
            seq,
            "the log is not as it was written, or not the one that was noted: {detail}"
        );
    }
    let (records, head) = (walk.records(), walk.last());
    Ok(Verified { log: R::LOG, intact: broken.is_none(), records, base, head, broken })
}

enum Stretch {
    More,
    End,
    Broken(Broken),
}

/// The next records of a walk, as they are at one moment.
fn stretch<R: Log>(store: &mut dyn Records, walk: &mut Walk) -> Result<Stretch, StoreError> {
    let chain = store.chain(R::LOG)?;
    walk.skip_to(chain.base);
    let first = walk.last().seq.saturating_add(1);
    let span = |limit| Span { first, last: i64::MAX as u64, order: Order::OldestFirst, limit };
    let records = match R::find(store, &R::everything(), span(RECORDS_VERIFIED_AT_ONCE)) {
        // One of them was changed into what is no record: those before it are read one by one.
        Err(error) if !error.is_of_the_database() => match R::find(store, &R::everything(), span(1)) {
            Err(error) if !error.is_of_the_database() => {
                let detail = format!("record {first} was changed: it cannot be read any more: {error}");
                return Ok(Stretch::Broken(Broken { seq: first, damage: Damage::Changed, detail }));
            }
            record => record?,
        },
        records => records?,
    };
    let walked = match records.is_empty() {
        true => walk.end(Some(chain.head)).map(|()| Stretch::End),
        false => records.iter().try_for_each(|record| walk.step(record)).map(|()| Stretch::More),
    };
    Ok(walked.unwrap_or_else(Stretch::Broken))
}

fn unreadable(log: LogKind, error: &StoreError) -> Problem {
    tracing::error!(%error, "the store failed");
    problem("store-failed", format!("the {} log cannot be read: {error}", log.as_str()))
}
