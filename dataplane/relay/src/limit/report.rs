//! What limiters did so far, for `postern throttle show` and `watch`.

use postern_model::ids::TenantId;
use postern_model::limit::{LimitScope, Origin};
use postern_model::question::{LIMITERS_ANSWERED_MAX, LimiterReport};

use super::table::{Held, LimitTable};

impl LimitTable {
    /// A tenant's limiters, those that refused most first, with the sources that were refused most below their rule.
    pub(crate) fn report(&self, tenant: TenantId, now_ns: u64) -> Vec<LimiterReport> {
        let own = self.all.iter().filter(|(key, _)| key.tenant == tenant);
        let mut held: Vec<&Held> = own.map(|(_, held)| held).collect();
        held.sort_by_key(|held| std::cmp::Reverse(held.limiter.figures().refused));
        let reports = held.into_iter().flat_map(|held| {
            let own = std::iter::once(report(held));
            own.chain(self.worst(held, now_ns))
        });
        reports.take(LIMITERS_ANSWERED_MAX).collect()
    }

    /// Every limiter with its tenant; without single sources.
    pub(crate) fn totals(&self) -> impl Iterator<Item = (TenantId, LimiterReport)> {
        self.all.iter().map(|(key, held)| (key.tenant, report(held)))
    }

    fn worst(&self, held: &Held, now_ns: u64) -> Vec<LimiterReport> {
        let (Some(table), Some(rule)) = (&self.sources, &held.rule) else { return Vec::new() };
        let seen = table.worst(rule, SOURCES_SHOWN_MAX, now_ns);
        let per_source = |seen: &super::sources::SeenSource| LimiterReport {
            scope: format!("{} {}/{}", held.planned.name, seen.address, seen.bits),
            admitted_total: 0,
            refused_total: seen.refused,
            in_progress: seen.in_progress,
            rate_1s: 0.0,
            ..report(held)
        };
        seen.iter().map(per_source).collect()
    }
}

fn report(held: &Held) -> LimiterReport {
    let figures = held.limiter.figures();
    let planned = &held.planned;
    let origin = match planned.origin() {
        Origin::Default => "default",
        Origin::Set => "set",
    };
    debug_assert!(!matches!(planned.key.scope, LimitScope::Other(_)), "it is not in use");
    LimiterReport {
        scope: planned.name.clone(),
        rps: planned.rps.limit,
        burst: planned.burst.limit,
        conns: planned.conns.limit,
        bps: planned.bps.limit,
        origin: origin.into(),
        admitted_total: figures.admitted,
        refused_total: figures.refused,
        in_progress: figures.in_progress,
        rate_1s: figures.rate_1s,
    }
}

/// Of each rule.
const SOURCES_SHOWN_MAX: usize = 5;
