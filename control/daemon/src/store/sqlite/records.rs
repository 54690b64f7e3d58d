//! The logs' rows. The schema's triggers keep them in order and from being changed; what is written here fits them.

use postern_model::admin::{AuditRecord, PolicyApplied, SignInRecord, SignInResult};
use postern_model::chain::{ChainHash, Chained, LogKind, Mark};
use postern_model::ids::{Name, TenantId};
use rusqlite::{Connection, OptionalExtension as _, Row, ToSql, named_params, params};

use super::directory::like;
use super::{SqliteStore, damaged, decode, signed, unsigned};
use crate::store::records::{
    AuditFilter, Chain, Cut, Order, Records, ResultFilter, SignInFilter, Span, Times, WhoSignedIn,
};
use crate::store::{AuditEntry, SignIn, StoreError};

impl Records for SqliteStore {
    fn chain(&mut self, log: LogKind) -> Result<Chain, StoreError> {
        chain(&self.connection, log)
    }

    fn audit(&mut self, filter: &AuditFilter, span: Span) -> Result<Vec<AuditRecord>, StoreError> {
        select_audit(filter, span).run(&self.connection, read_audit)
    }

    fn sign_ins(&mut self, filter: &SignInFilter, span: Span) -> Result<Vec<SignInRecord>, StoreError> {
        select_sign_ins(filter, span).run(&self.connection, read_sign_in)
    }

    fn between(&mut self, log: LogKind, times: Times) -> Result<Option<(u64, u64)>, StoreError> {
        let Chain { base, head } = chain(&self.connection, log)?;
        let table = table(log);
        let find = |select: &str, at: u64| -> Result<Option<u64>, StoreError> {
            let mut find = self.connection.prepare_cached(select)?;
            Ok(find.query_row(params![signed(at), signed(base.seq)], |row| row.get(0)).optional()?.map(unsigned))
        };
        let first = match times.since {
            Some(since) => {
                find(&format!("SELECT seq FROM {table} WHERE at>=? AND seq>? ORDER BY at, seq LIMIT 1"), since)?
            }
            None => Some(base.seq + 1),
        };
        let last = match times.until {
            Some(until) => find(
                &format!("SELECT seq FROM {table} WHERE at<? AND seq>? ORDER BY at DESC, seq DESC LIMIT 1"),
                until,
            )?,
            None => Some(head.seq),
        };
        Ok(first.zip(last).filter(|(first, last)| first <= last))
    }

    fn older(&mut self, log: LogKind, after: u64, before_unix_ms: u64, limit: u32) -> Result<Option<Mark>, StoreError> {
        let select = format!("SELECT seq, hash, at FROM {} WHERE seq>? ORDER BY seq LIMIT ?", table(log));
        let mut select = self.connection.prepare_cached(&select)?;
        let mut rows = select.query(params![signed(after), limit])?;
        let mut last = None;
        while let Some(row) = rows.next()? {
            if unsigned(row.get(2)?) >= before_unix_ms {
                break;
            }
            last = Some(Mark { seq: unsigned(row.get(0)?), hash: ChainHash(row.get(1)?) });
        }
        Ok(last)
    }

    fn sweep(&mut self, log: LogKind, limit: u32) -> Result<u32, StoreError> {
        let base = chain(&self.connection, log)?.base.seq;
        // In steps by number: a range of the table, without a look at anything else.
        let first = format!("SELECT min(seq) FROM {}", table(log));
        let first: Option<i64> = self.connection.prepare_cached(&first)?.query_row([], |row| row.get(0))?;
        let Some(first) = first else { return Ok(0) };
        let last = base.min(unsigned(first).saturating_add(u64::from(limit)).saturating_sub(1));
        let delete = format!("DELETE FROM {} WHERE seq<=?", table(log));
        let deleted = self.connection.prepare_cached(&delete)?.execute([signed(last)])?;
        Ok(u32::try_from(deleted).unwrap_or(u32::MAX))
    }
}

fn select_audit(filter: &AuditFilter, span: Span) -> Select<'_> {
    let mut select = Select::new(AUDIT, span, filter.times);
    select.with("tenant=?", filter.tenant.map(|tenant| tenant.0));
    select.with("action=?", filter.action.as_deref());
    select.with("actor LIKE ? ESCAPE '\\'", filter.actor.as_deref().map(like));
    select.with("target LIKE ? ESCAPE '\\'", filter.target.as_deref().map(like));
    select
}

fn select_sign_ins(filter: &SignInFilter, span: Span) -> Select<'_> {
    let mut select = Select::new(SIGN_IN, span, filter.times);
    select.with("tenant=?", filter.tenant.map(|tenant| tenant.0));
    match &filter.user {
        Some(WhoSignedIn::User(id)) => select.with("user=?", Some(id.to_string())),
        Some(WhoSignedIn::Login(login)) => select.with("login=?", Some(login.as_str())),
        None => {}
    }
    select.with("app=?", filter.app.map(|app| app.to_string()));
    match &filter.result {
        Some(ResultFilter::Result(result)) => select.with("result=?", Some(result.as_str())),
        Some(ResultFilter::Code(code)) => select.with("code=?", Some(code.as_str())),
        None => {}
    }
    select.with("session=?", filter.session.map(|session| session.to_string()));
    select.with("request=?", filter.request.map(|request| request.to_string()));
    select
}

/// A question about one log, put together from what is asked for.
struct Select<'a> {
    text: String,
    span: Span,
    values: Vec<Box<dyn ToSql + 'a>>,
}

impl<'a> Select<'a> {
    fn new(columns: &str, span: Span, times: Times) -> Self {
        let text = format!("{columns} WHERE seq BETWEEN ? AND ?");
        let mut select = Self { text, span, values: vec![Box::new(signed(span.first)), Box::new(signed(span.last))] };
        select.with("at>=?", times.since.map(signed));
        select.with("at<?", times.until.map(signed));
        select
    }

    fn with(&mut self, condition: &str, value: Option<impl ToSql + 'a>) {
        if let Some(value) = value {
            self.text.push_str(" AND ");
            self.text.push_str(condition);
            self.values.push(Box::new(value));
        }
    }

    fn end(&mut self) {
        self.text.push_str(match self.span.order {
            Order::OldestFirst => " ORDER BY seq LIMIT ?",
            Order::NewestFirst => " ORDER BY seq DESC LIMIT ?",
        });
        self.values.push(Box::new(self.span.limit));
    }

    fn run<T>(
        mut self,
        connection: &Connection,
        read: fn(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        self.end();
        let mut select = connection.prepare_cached(&self.text)?;
        let values = rusqlite::params_from_iter(self.values.iter());
        select.query_map(values, |row| Ok(read(row)))?.map(|row| row?).collect()
    }
}

/// Puts an audit record behind the last one.
pub(super) fn put_audit(transaction: &Connection, entry: &AuditEntry, at_unix_ms: u64) -> Result<(), StoreError> {
    let AuditEntry { actor, action, tenant, target, before, after, version } = entry;
    let record = AuditRecord {
        seq: 0,
        at_unix_ms,
        actor: actor.clone(),
        action: (*action).to_owned(),
        tenant: *tenant,
        target: target.clone(),
        before: before.clone(),
        after: after.clone(),
        version: *version,
        previous: ChainHash::ZERO,
        hash: ChainHash::ZERO,
    };
    insert_audit(transaction, &record.behind(chain(transaction, LogKind::Audit)?.head))
}

fn insert_audit(transaction: &Connection, record: &AuditRecord) -> Result<(), StoreError> {
    let put = "INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    transaction.prepare_cached(put)?.execute(params![
        signed(record.seq),
        signed(record.at_unix_ms),
        record.actor,
        record.action,
        record.tenant.map(|tenant| tenant.0),
        record.target,
        record.before,
        record.after,
        record.version.map(signed),
        record.previous.0,
        record.hash.0,
    ])?;
    Ok(())
}

/// Puts a sign-in record behind the last one.
pub(super) fn put_sign_in(transaction: &Connection, entry: &SignIn, at_unix_ms: u64) -> Result<(), StoreError> {
    let record = entry.record(at_unix_ms).behind(chain(transaction, LogKind::SignIn)?.head);
    let put =
        "INSERT INTO sign_in VALUES (:seq, :at, :tenant, :user, :login, :app, :app_name, :result, :code, :methods,
        :provider, :source, :user_agent, :country, :asn, :device, :device_state, :policies, :session, :request,
        :previous, :hash)";
    transaction.prepare_cached(put)?.execute(named_params! {
        ":seq": signed(record.seq),
        ":at": signed(record.at_unix_ms),
        ":tenant": record.tenant.0,
        ":user": record.user.map(|user| user.to_string()),
        ":login": record.login,
        ":app": record.app.map(|app| app.to_string()),
        ":app_name": record.app_name.as_ref().map(Name::as_str),
        ":result": record.result.as_str(),
        ":code": record.code,
        ":methods": serde_json::to_string(&record.methods).map_err(damaged)?,
        ":provider": record.provider.as_ref().map(Name::as_str),
        ":source": record.source.map(|source| source.to_string()),
        ":user_agent": record.user_agent,
        ":country": record.country,
        ":asn": record.asn,
        ":device": record.device,
        ":device_state": record.device_state,
        ":policies": serde_json::to_string(&record.policies).map_err(damaged)?,
        ":session": record.session.map(|session| session.to_string()),
        ":request": record.request.map(|request| request.to_string()),
        ":previous": record.previous.0,
        ":hash": record.hash.0,
    })?;
    Ok(())
}

/// Moves a log's base. The rows stay until they are swept.
pub(super) fn cut(transaction: &Connection, cut: &Cut) -> Result<(), StoreError> {
    let put = "UPDATE chain SET base_seq=?, base_hash=? WHERE log=?";
    let values = params![signed(cut.base.seq), cut.base.hash.0, cut.log.as_str()];
    transaction.prepare_cached(put)?.execute(values)?;
    Ok(())
}

/// The step from schema 2: gives the records that were there their hashes, in their order. Within the step's transaction.
pub(super) fn adopt(transaction: &Connection) -> Result<(), StoreError> {
    let old = "SELECT seq, at, actor, action, tenant, target, before, after, version, zeroblob(32), zeroblob(32)
        FROM audit_unchained ORDER BY seq";
    let mut old = transaction.prepare(old)?;
    let mut rows = old.query([])?;
    let mut last = Mark::START;
    while let Some(row) = rows.next()? {
        let record = read_audit(row)?;
        if record.seq != last.seq + 1 {
            let (seq, missing) = (record.seq, last.seq + 1);
            return Err(StoreError::Damaged(format!("audit record {missing} is missing before record {seq}")));
        }
        let record = record.behind(last);
        insert_audit(transaction, &record)?;
        last = record.mark();
    }
    drop(rows);
    drop(old);
    Ok(transaction.execute_batch("DROP TABLE audit_unchained")?)
}

fn chain(connection: &Connection, log: LogKind) -> Result<Chain, StoreError> {
    let select = "SELECT base_seq, base_hash, seq, hash FROM chain WHERE log=?";
    let mut select = connection.prepare_cached(select)?;
    Ok(select.query_row([log.as_str()], |row| {
        Ok(Chain {
            base: Mark { seq: unsigned(row.get(0)?), hash: ChainHash(row.get(1)?) },
            head: Mark { seq: unsigned(row.get(2)?), hash: ChainHash(row.get(3)?) },
        })
    })?)
}

fn read_audit(row: &Row<'_>) -> Result<AuditRecord, StoreError> {
    Ok(AuditRecord {
        seq: unsigned(row.get(0)?),
        at_unix_ms: unsigned(row.get(1)?),
        actor: row.get(2)?,
        action: row.get(3)?,
        tenant: row.get::<_, Option<u32>>(4)?.map(TenantId),
        target: row.get(5)?,
        before: row.get(6)?,
        after: row.get(7)?,
        version: row.get::<_, Option<i64>>(8)?.map(unsigned),
        previous: ChainHash(row.get(9)?),
        hash: ChainHash(row.get(10)?),
    })
}

fn read_sign_in(row: &Row<'_>) -> Result<SignInRecord, StoreError> {
    let methods: String = row.get(9)?;
    let policies: String = row.get(17)?;
    let result: String = row.get(7)?;
    Ok(SignInRecord {
        seq: unsigned(row.get(0)?),
        at_unix_ms: unsigned(row.get(1)?),
        tenant: TenantId(row.get(2)?),
        user: parsed(row, 3)?,
        login: row.get(4)?,
        app: parsed(row, 5)?,
        app_name: parsed(row, 6)?,
        result: result_of(&result)?,
        code: row.get(8)?,
        methods: decode(&methods)?,
        provider: parsed(row, 10)?,
        source: parsed(row, 11)?,
        user_agent: row.get(12)?,
        country: row.get(13)?,
        asn: row.get(14)?,
        device: row.get(15)?,
        device_state: row.get(16)?,
        policies: decode::<Vec<PolicyApplied>>(&policies)?,
        session: parsed(row, 18)?,
        request: parsed(row, 19)?,
        previous: ChainHash(row.get(20)?),
        hash: ChainHash(row.get(21)?),
    })
}

fn parsed<T: std::str::FromStr<Err: ToString>>(row: &Row<'_>, column: usize) -> Result<Option<T>, StoreError> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| text.parse().map_err(damaged)).transpose()
}

fn result_of(text: &str) -> Result<SignInResult, StoreError> {
    let all = [SignInResult::Success, SignInResult::Failure, SignInResult::Interrupted];
    let found = all.into_iter().find(|result| result.as_str() == text);
    found.ok_or_else(|| damaged(format!("{text:?} is no result of a sign-in")))
}

const fn table(log: LogKind) -> &'static str {
    match log {
        LogKind::Audit => "audit",
        LogKind::SignIn => "sign_in",
    }
}

const AUDIT: &str = "SELECT seq, at, actor, action, tenant, target, before, after, version, previous, hash FROM audit";
const SIGN_IN: &str =
    "SELECT seq, at, tenant, user, login, app, app_name, result, code, methods, provider, source, user_agent,
    country, asn, device, device_state, policies, session, request, previous, hash FROM sign_in";

#[cfg(test)]
mod tests {
    use postern_model::admin::SignInResult;
    use postern_model::ids::{AppId, RequestId, SessionId, UserId};

    use super::*;

    /// What each question reads: never the whole table, never sorted afterwards.
    #[test]
    fn every_filter_has_its_index() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("control.db")).unwrap();
        let plan = |mut select: Select<'_>| -> String {
            select.end();
            let mut explain = store.connection.prepare(&format!("EXPLAIN QUERY PLAN {}", select.text)).unwrap();
            let values = rusqlite::params_from_iter(select.values.iter());
            let lines: Vec<String> = explain.query_map(values, |row| row.get(3)).unwrap().map(Result::unwrap).collect();
            lines.join("; ")
        };
        let span = Span { first: 1, last: 20_000, order: Order::NewestFirst, limit: 100 };
        let tenant = Some(TenantId::DEFAULT);
        let audit = |filter: AuditFilter| plan(select_audit(&filter, span));
        let sign_in = |filter: SignInFilter| plan(select_sign_ins(&filter, span));
        let (any, none) = (AuditFilter::default, SignInFilter::default);
        let result = Some(ResultFilter::Result(SignInResult::Failure));
        for (plan, reads) in [
            (audit(any()), "INTEGER PRIMARY KEY"),
            (audit(AuditFilter { target: Some("a1-7".into()), ..any() }), "INTEGER PRIMARY KEY"),
            (audit(AuditFilter { tenant, ..any() }), "audit_tenant"),
            (audit(AuditFilter { action: Some("app.set".into()), ..any() }), "audit_action"),
            (sign_in(none()), "INTEGER PRIMARY KEY"),
            (sign_in(SignInFilter { tenant, ..none() }), "sign_in_tenant"),
            (
                sign_in(SignInFilter { user: Some(WhoSignedIn::User(UserId::new(TenantId(1), 1))), ..none() }),
                "sign_in_user",
            ),
            (sign_in(SignInFilter { user: Some(WhoSignedIn::Login("anna".into())), ..none() }), "sign_in_login"),
            (sign_in(SignInFilter { app: Some(AppId::new(TenantId(1), 1)), ..none() }), "sign_in_app"),
            (sign_in(SignInFilter { result, ..none() }), "sign_in_result"),
            (sign_in(SignInFilter { session: Some(SessionId(1)), ..none() }), "sign_in_session"),
            (sign_in(SignInFilter { request: Some(RequestId(1)), ..none() }), "sign_in_request"),
        ] {
            assert!(plan.starts_with("SEARCH") && plan.contains(reads) && !plan.contains("TEMP"), "{reads}: {plan}");
        }
        let times = Times { since: Some(1), until: Some(2) };
        let timed = audit(AuditFilter { times, ..any() });
        assert!(timed.contains("INTEGER PRIMARY KEY"), "numbers bound what is read, not times: {timed}");
    }
}
