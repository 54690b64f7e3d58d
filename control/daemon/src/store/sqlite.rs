//! The state in one SQLite file: WAL, `synchronous=FULL`. The default, and enough while one machine is.

use std::path::{Path, PathBuf};

use postern_model::admin::Pinned;
use postern_model::ids::{GroupId, RelayId};
use postern_model::{Delta, Snapshot};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{Commit, DirectoryChange, Loaded, Pin, ProviderChange, Store, StoreError, TokenRecord};

mod devices;
mod directory;
mod factors;
mod kerberos;
mod oauth;
mod providers;
mod records;
mod requests;
mod reviews;
mod scim;
mod sessions;
mod sync;
mod terms;
mod uses;

/// An open SQLite file.
pub(crate) struct SqliteStore {
    connection: Connection,
    path: PathBuf,
    /// Whether a transaction is open that a stage writes into.
    staging: bool,
}

impl SqliteStore {
    /// Opens the file, making it (mode 0600) when it is missing.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        make_private(path)?;
        let connection = Connection::open(path)?;
        // Journal mode answers with a row; the others do not.
        connection.query_row("PRAGMA journal_mode=WAL", [], |_| Ok(()))?;
        connection.execute_batch(PRAGMAS)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        let check: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if check != "ok" {
            return Err(StoreError::Damaged(check));
        }
        bring_up_to_date(&connection)?;
        Ok(Self { connection, path: path.to_owned(), staging: false })
    }

    /// Ends the open transaction: as a whole, or without a trace.
    fn end<T>(&mut self, written: Result<T, StoreError>) -> Result<T, StoreError> {
        self.staging = false;
        let ended = written.and_then(|value| Ok(self.connection.execute_batch("COMMIT").map(|()| value)?));
        if ended.is_err() && !self.connection.is_autocommit() {
            // The error that led here is the one to tell.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        ended
    }
}

/// One step: statements, and what they cannot say.
struct Step {
    sql: &'static str,
    then: fn(&Connection) -> Result<(), StoreError>,
}

/// Runs the steps from the file's schema to this version's, each whole.
fn bring_up_to_date(connection: &Connection) -> Result<(), StoreError> {
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let steps = usize::try_from(found).ok().and_then(|found| STEPS.get(found..));
    let Some(steps) = steps else { return Err(StoreError::Newer { found, known: STEPS.len() as i64 }) };
    for (step, schema) in steps.iter().zip(found + 1..) {
        let transaction = connection.unchecked_transaction()?;
        transaction.execute_batch(step.sql)?;
        (step.then)(&transaction)?;
        transaction.pragma_update(None, "user_version", schema)?;
        transaction.commit()?;
    }
    Ok(())
}

impl Store for SqliteStore {
    fn load(&mut self) -> Result<Option<Loaded>, StoreError> {
        let initialised = "SELECT value FROM meta WHERE name='initialised'";
        let initialised: Option<i64> = self.connection.query_row(initialised, [], |row| row.get(0)).optional()?;
        let Some(initialised) = initialised else { return Ok(None) };
        let newest = "SELECT snapshot FROM checkpoint ORDER BY version DESC LIMIT 1";
        let checkpoint: Option<String> = self.connection.query_row(newest, [], |row| row.get(0)).optional()?;
        let mut snapshot = match checkpoint {
            Some(json) => decode(&json)?,
            None => Snapshot::default(),
        };
        let mut log = self.connection.prepare("SELECT delta FROM log WHERE version>? ORDER BY version")?;
        let mut rows = log.query([signed(snapshot.version)])?;
        let mut log_bytes = 0;
        while let Some(row) = rows.next()? {
            let json = row.get_ref(0)?.as_str().map_err(damaged)?;
            log_bytes += json.len() as u64;
            snapshot.apply(&decode(json)?).map_err(damaged)?;
        }
        Ok(Some(Loaded { snapshot, initialised_unix_ms: unsigned(initialised), log_bytes }))
    }

    fn commit(&mut self, commit: &Commit) -> Result<u64, StoreError> {
        if !self.staging {
            self.connection.execute_batch("BEGIN IMMEDIATE")?;
        }
        let written = write(&self.connection, commit);
        self.end(written)
    }

    fn begin(&mut self) -> Result<(), StoreError> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        self.staging = true;
        Ok(())
    }

    fn stage(&mut self, changes: &[DirectoryChange], providers: &[ProviderChange]) -> Result<(), StoreError> {
        changes.iter().try_for_each(|change| directory::write(&self.connection, change))?;
        providers.iter().try_for_each(|change| providers::write(&self.connection, change))
    }

    fn forget(&mut self) -> Result<(), StoreError> {
        if std::mem::take(&mut self.staging) {
            self.connection.execute_batch("ROLLBACK")?;
        }
        Ok(())
    }

    fn deltas_after(&mut self, version: u64, limit: u32) -> Result<Option<Vec<Delta>>, StoreError> {
        let range = "SELECT version, delta FROM log WHERE version>? ORDER BY version LIMIT ?";
        let mut range = self.connection.prepare_cached(range)?;
        let mut rows = range.query(params![signed(version), limit])?;
        let mut deltas: Vec<Delta> = Vec::new();
        while let Some(row) = rows.next()? {
            deltas.push(decode(row.get_ref(1)?.as_str().map_err(damaged)?)?);
        }
        let gap = deltas.first().is_some_and(|first| Some(first.version) != version.checked_add(1));
        Ok((!gap).then_some(deltas))
    }

    fn checkpoint(&mut self, snapshot: &Snapshot, keep_after: u64) -> Result<(), StoreError> {
        let json = serde_json::to_string(snapshot).map_err(damaged)?;
        let transaction = self.connection.transaction()?;
        let put = "INSERT OR REPLACE INTO checkpoint VALUES (?, ?)";
        transaction.execute(put, params![signed(snapshot.version), json])?;
        transaction.execute("DELETE FROM checkpoint WHERE version<?", [signed(snapshot.version)])?;
        transaction.execute("DELETE FROM log WHERE version<=?", [signed(keep_after)])?;
        Ok(transaction.commit()?)
    }

    fn counter(&mut self, name: &str) -> Result<u32, StoreError> {
        let find = "SELECT value FROM counter WHERE name=?";
        let value = self.connection.query_row(find, [name], |row| row.get(0)).optional()?;
        Ok(value.unwrap_or(0))
    }

    fn token(&mut self, id: &str) -> Result<Option<TokenRecord>, StoreError> {
        let find = "SELECT id, key, grp, expires, used_by, used_key FROM token WHERE id=?";
        let row = self.connection.query_row(find, [id], |row| Ok(read_token(row))).optional()?;
        row.transpose()
    }

    fn tokens_open(&mut self, group: GroupId, now_unix: u64) -> Result<u32, StoreError> {
        let count = "SELECT count(*) FROM token WHERE grp=? AND expires>? AND used_by IS NULL";
        let arguments = params![group.to_string(), signed(now_unix)];
        Ok(self.connection.query_row(count, arguments, |row| row.get(0))?)
    }

    fn pins(&mut self) -> Result<Vec<(RelayId, Pin)>, StoreError> {
        let mut all = self.connection.prepare("SELECT relay, key_sha256, how FROM relay_pin")?;
        let rows = all.query_map([], |row| {
            let how: String = row.get(2)?;
            Ok((RelayId(row.get(0)?), row.get(1)?, how))
        })?;
        rows.map(|row| {
            let (relay, key_sha256, how): (_, String, String) = row?;
            Ok((relay, Pin { key_sha256, how: pinned(&how) }))
        })
        .collect()
    }

    fn describe(&self) -> String {
        format!("sqlite:{}", self.path.display())
    }

    /// The database and its write-ahead log.
    fn bytes(&self) -> Option<u64> {
        let mut log = self.path.clone().into_os_string();
        log.push("-wal");
        let bytes = |path: &Path| std::fs::metadata(path).map(|metadata| metadata.len());
        Some(bytes(&self.path).ok()? + bytes(Path::new(&log)).unwrap_or(0))
    }
}

/// Everything of a commit, into the open transaction.
fn write(transaction: &Connection, commit: &Commit) -> Result<u64, StoreError> {
    let initialised = "INSERT OR IGNORE INTO meta VALUES ('initialised', ?)";
    transaction.execute(initialised, [signed(commit.at_unix_ms)])?;
    let mut bytes = 0;
    for delta in &commit.deltas {
        let json = serde_json::to_string(delta).map_err(damaged)?;
        bytes += json.len() as u64;
        transaction.prepare_cached("INSERT INTO log VALUES (?, ?)")?.execute(params![signed(delta.version), json])?;
        uses::follow(transaction, &delta.change)?;
        reviews::follow(transaction, &delta.change)?;
    }
    for (name, value) in &commit.counters {
        let put = "INSERT INTO counter VALUES (?, ?) ON CONFLICT DO UPDATE SET value=max(value, excluded.value)";
        transaction.execute(put, params![name, value])?;
    }
    put_tokens(transaction, commit)?;
    put_pins(transaction, commit)?;
    for change in &commit.directory {
        directory::write(transaction, change)?;
    }
    for change in &commit.providers {
        providers::write(transaction, change)?;
    }
    for change in &commit.sessions {
        sessions::write(transaction, change)?;
    }
    for change in &commit.clients {
        oauth::write(transaction, change)?;
    }
    for change in &commit.factors {
        factors::write(transaction, change)?;
    }
    for change in &commit.requests {
        requests::write(transaction, change)?;
    }
    for change in &commit.reviews {
        reviews::write(transaction, change)?;
    }
    for used in &commit.used {
        uses::write(transaction, used)?;
    }
    for entry in &commit.audit {
        records::put_audit(transaction, entry, commit.at_unix_ms)?;
    }
    for entry in &commit.sign_ins {
        records::put_sign_in(transaction, entry, commit.at_unix_ms)?;
    }
    for cut in &commit.cuts {
        records::cut(transaction, cut)?;
    }
    Ok(bytes)
}

fn put_tokens(transaction: &Connection, commit: &Commit) -> Result<(), StoreError> {
    for group in &commit.tokens_removed {
        transaction.execute("DELETE FROM token WHERE grp=?", [group.to_string()])?;
    }
    for token in &commit.tokens {
        let used = token.used.as_ref();
        transaction.execute(
            "INSERT OR REPLACE INTO token VALUES (?, ?, ?, ?, ?, ?)",
            params![
                token.id,
                token.key,
                token.group.to_string(),
                signed(token.expires_unix),
                used.map(|(connector, _)| connector.to_string()),
                used.map(|(_, key)| key),
            ],
        )?;
    }
    // A token is of use until a week after its end at most: for the message that says why it is refused.
    let forgotten = commit.at_unix_ms / 1000;
    let forgotten = forgotten.saturating_sub(TOKEN_KEPT_S);
    transaction.execute("DELETE FROM token WHERE expires<?", [signed(forgotten)])?;
    Ok(())
}

fn put_pins(transaction: &Connection, commit: &Commit) -> Result<(), StoreError> {
    for (relay, pin) in &commit.pins {
        match pin {
            Some(pin) => transaction.execute(
                "INSERT OR REPLACE INTO relay_pin VALUES (?, ?, ?)",
                params![relay.0, pin.key_sha256, pinned_text(pin.how)],
            )?,
            None => transaction.execute("DELETE FROM relay_pin WHERE relay=?", [relay.0])?,
        };
    }
    Ok(())
}

fn read_token(row: &Row<'_>) -> Result<TokenRecord, StoreError> {
    let key: Vec<u8> = row.get(1)?;
    let group: String = row.get(2)?;
    let used_by: Option<String> = row.get(4)?;
    let used_key: Option<String> = row.get(5)?;
    let used = match (used_by, used_key) {
        (Some(connector), Some(key)) => Some((connector.parse().map_err(damaged)?, key)),
        (_, None) | (None, Some(_)) => None,
    };
    Ok(TokenRecord {
        id: row.get(0)?,
        key: key.try_into().map_err(|_| StoreError::Damaged("a token's key".into()))?,
        group: group.parse().map_err(damaged)?,
        expires_unix: unsigned(row.get(3)?),
        used,
    })
}

fn make_private(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let made = std::fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    made.map(drop).map_err(damaged)
}

fn decode<T: serde::de::DeserializeOwned>(json: &str) -> Result<T, StoreError> {
    serde_json::from_str(json).map_err(damaged)
}

fn damaged(error: impl ToString) -> StoreError {
    StoreError::Damaged(error.to_string())
}

const fn pinned_text(how: Pinned) -> &'static str {
    match how {
        Pinned::No => "no",
        Pinned::Given => "given",
        Pinned::FirstUse => "first-use",
        Pinned::Socket => "socket",
    }
}

fn pinned(text: &str) -> Pinned {
    match text {
        "given" => Pinned::Given,
        "first-use" => Pinned::FirstUse,
        "socket" => Pinned::Socket,
        _ => Pinned::No,
    }
}

/// SQLite's integers are signed; versions, seconds and sequence numbers stay far below 2^63.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

const PRAGMAS: &str = "PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA secure_delete=ON;
    PRAGMA cache_size=-1024; PRAGMA wal_autocheckpoint=256;";
/// What leads from each schema to the next. A step that was released is not changed any more.
const STEPS: &[Step] = &[
    Step { sql: include_str!("schema.sql"), then: |_| Ok(()) },
    Step { sql: include_str!("directory.sql"), then: |_| Ok(()) },
    Step { sql: include_str!("sessions.sql"), then: |_| Ok(()) },
    Step { sql: include_str!("audit.sql"), then: records::adopt },
    Step { sql: include_str!("factors.sql"), then: |_| Ok(()) },
    Step { sql: include_str!("scim.sql"), then: |_| Ok(()) },
    Step { sql: include_str!("providers.sql"), then: |_| Ok(()) },
    Step { sql: include_str!("directory_sync.sql"), then: |_| Ok(()) },
    Step { sql: include_str!("requests.sql"), then: |_| Ok(()) },
    Step { sql: include_str!("uses.sql"), then: |_| Ok(()) },
    Step { sql: include_str!("reviews.sql"), then: |_| Ok(()) },
    Step { sql: include_str!("risk.sql"), then: |_| Ok(()) },
    Step { sql: include_str!("oauth.sql"), then: |_| Ok(()) },
    Step { sql: include_str!("kerberos.sql"), then: |_| Ok(()) },
    Step { sql: include_str!("terms.sql"), then: |_| Ok(()) },
    Step { sql: include_str!("devices.sql"), then: |_| Ok(()) },
    Step { sql: include_str!("claimed_device.sql"), then: |_| Ok(()) },
];
/// More than there are: each is prepared once.
const STATEMENTS_KEPT: usize = 64;
const TOKEN_KEPT_S: u64 = 7 * 86_400;

#[cfg(test)]
mod tests;
