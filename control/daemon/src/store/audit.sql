-- Audit and sign-in log with hash chains. What was in the audit log so far goes to `audit_unchained`; the step that runs
-- this file moves it from there into the new table, with hashes.
DROP TRIGGER audit_no_update;
DROP TRIGGER audit_no_delete;
DROP INDEX audit_tenant;
ALTER TABLE audit RENAME TO audit_unchained;

-- Of each log: the last record (head), and the last one that retention removed (base).
CREATE TABLE chain (
    log TEXT PRIMARY KEY, seq INTEGER NOT NULL, hash BLOB NOT NULL,
    base_seq INTEGER NOT NULL, base_hash BLOB NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO chain VALUES
    ('audit', 0, zeroblob(32), 0, zeroblob(32)),
    ('sign-in', 0, zeroblob(32), 0, zeroblob(32));

CREATE TABLE audit (
    seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,
    tenant INTEGER, target TEXT NOT NULL, before TEXT, after TEXT, version INTEGER,
    previous BLOB NOT NULL, hash BLOB NOT NULL
) STRICT;
CREATE INDEX audit_tenant ON audit (tenant, seq);
CREATE INDEX audit_action ON audit (action, seq);
CREATE INDEX audit_at ON audit (at);

CREATE TABLE sign_in (
    seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, tenant INTEGER NOT NULL, user TEXT, login TEXT NOT NULL,
    app TEXT, app_name TEXT, result TEXT NOT NULL, code TEXT, methods TEXT NOT NULL, provider TEXT,
    source TEXT, user_agent TEXT, country TEXT, asn INTEGER, device TEXT, device_state TEXT, policies TEXT NOT NULL,
    session TEXT, request TEXT, previous BLOB NOT NULL, hash BLOB NOT NULL
) STRICT;
CREATE INDEX sign_in_tenant ON sign_in (tenant, seq);
CREATE INDEX sign_in_user ON sign_in (user, seq) WHERE user IS NOT NULL;
CREATE INDEX sign_in_login ON sign_in (login, seq);
CREATE INDEX sign_in_app ON sign_in (app, seq) WHERE app IS NOT NULL;
CREATE INDEX sign_in_result ON sign_in (result, seq);
CREATE INDEX sign_in_session ON sign_in (session, seq) WHERE session IS NOT NULL;
CREATE INDEX sign_in_request ON sign_in (request, seq) WHERE request IS NOT NULL;
CREATE INDEX sign_in_at ON sign_in (at);

-- A record is put behind the last one, and the head follows by itself; records do not change; those up to the base, and
-- no others, are removed. The base moves forward only, onto a record that is there.
CREATE TRIGGER audit_in_order BEFORE INSERT ON audit
    WHEN NOT EXISTS (SELECT 1 FROM chain WHERE log='audit' AND seq+1=NEW.seq AND hash=NEW.previous)
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only: a record goes behind the last one'); END;
CREATE TRIGGER audit_head AFTER INSERT ON audit
    BEGIN UPDATE chain SET seq=NEW.seq, hash=NEW.hash WHERE log='audit'; END;
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
    WHEN NOT EXISTS (SELECT 1 FROM chain WHERE log='audit' AND base_seq>=OLD.seq)
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;

CREATE TRIGGER sign_in_in_order BEFORE INSERT ON sign_in
    WHEN NOT EXISTS (SELECT 1 FROM chain WHERE log='sign-in' AND seq+1=NEW.seq AND hash=NEW.previous)
    BEGIN SELECT RAISE(ABORT, 'the sign-in log is append-only: a record goes behind the last one'); END;
CREATE TRIGGER sign_in_head AFTER INSERT ON sign_in
    BEGIN UPDATE chain SET seq=NEW.seq, hash=NEW.hash WHERE log='sign-in'; END;
CREATE TRIGGER sign_in_no_update BEFORE UPDATE ON sign_in
    BEGIN SELECT RAISE(ABORT, 'the sign-in log is append-only'); END;
CREATE TRIGGER sign_in_no_delete BEFORE DELETE ON sign_in
    WHEN NOT EXISTS (SELECT 1 FROM chain WHERE log='sign-in' AND base_seq>=OLD.seq)
    BEGIN SELECT RAISE(ABORT, 'the sign-in log is append-only'); END;

CREATE TRIGGER chain_no_insert BEFORE INSERT ON chain
    BEGIN SELECT RAISE(ABORT, 'there are two logs'); END;
CREATE TRIGGER chain_no_delete BEFORE DELETE ON chain
    BEGIN SELECT RAISE(ABORT, 'there are two logs'); END;
CREATE TRIGGER chain_head BEFORE UPDATE OF log, seq, hash ON chain
    WHEN NEW.log<>OLD.log OR NEW.seq<>OLD.seq+1
        OR NOT EXISTS (SELECT 1 FROM audit WHERE NEW.log='audit' AND seq=NEW.seq AND hash=NEW.hash)
            AND NOT EXISTS (SELECT 1 FROM sign_in WHERE NEW.log='sign-in' AND seq=NEW.seq AND hash=NEW.hash)
    BEGIN SELECT RAISE(ABORT, 'the head of a log is its last record'); END;
CREATE TRIGGER chain_base BEFORE UPDATE OF base_seq, base_hash ON chain
    WHEN NEW.base_seq<=OLD.base_seq
        OR NOT EXISTS (SELECT 1 FROM audit WHERE NEW.log='audit' AND seq=NEW.base_seq AND hash=NEW.base_hash)
            AND NOT EXISTS (SELECT 1 FROM sign_in WHERE NEW.log='sign-in' AND seq=NEW.base_seq AND hash=NEW.base_hash)
    BEGIN SELECT RAISE(ABORT, 'the base of a log is one of its records, behind the base so far'); END;
