-- The state of a control that knew schema 1 only, as sqlite3 dumps it; not changed any more.
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES('initialised',1795876331130);
CREATE TABLE log (version INTEGER PRIMARY KEY, delta TEXT NOT NULL) STRICT;
INSERT INTO log VALUES(1,'{"version":1,"at_unix_ms":1795876331130,"tenant":"t1","change":{"id":"t1","kind":"tenant_put","name":"default"}}');
INSERT INTO log VALUES(2,'{"version":2,"at_unix_ms":1795876331130,"tenant":"t1","change":{"id":"g1-1","kind":"group_put","name":"default"}}');
INSERT INTO log VALUES(3,'{"version":3,"at_unix_ms":1795876331130,"tenant":"t1","change":{"config":{"body":"{\"tenant\":\"t1\",\"group\":\"g1-1\",\"version\":3,\"apps\":[]}","signature":"MEUCIDx9w2o3CotJQB5jTtKzlwFHpFQiUlC/HRGOr+XU6uoZAiEAk9bxErIDWqRmvyd3DBySn7ZzB8iyUXpV2XmJbvahalA="},"group":"g1-1","kind":"group_config_put"}}');
INSERT INTO log VALUES(4,'{"version":4,"at_unix_ms":1795876333192,"tenant":"t1","change":{"kind":"network_put","name":"hq","prefixes":["203.0.113.0/24"],"tenant":"t1"},"optional":true}');
CREATE TABLE checkpoint (version INTEGER PRIMARY KEY, snapshot TEXT NOT NULL) STRICT;
CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO counter VALUES('group/t1',1);
INSERT INTO counter VALUES('tenant',1);
CREATE TABLE token (
    id TEXT PRIMARY KEY, key BLOB NOT NULL, grp TEXT NOT NULL, expires INTEGER NOT NULL,
    used_by TEXT, used_key TEXT
) STRICT, WITHOUT ROWID;
CREATE TABLE relay_pin (relay INTEGER PRIMARY KEY, key_sha256 TEXT NOT NULL, how TEXT NOT NULL) STRICT;
CREATE TABLE audit (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,
    tenant INTEGER, target TEXT NOT NULL, before TEXT, after TEXT, version INTEGER
) STRICT;
INSERT INTO audit VALUES(1,1795876331130,'control','init',1,'state /var/lib/postern/control',NULL,'control CA 688218b5ef04d861c6aabf86e8ce036c5d6e2a77ac836cdeab930405811c54c1',3);
INSERT INTO audit VALUES(2,1795876333192,'uid 0 (root)','network.set',1,'network hq',NULL,'203.0.113.0/24',4);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('audit',2);
CREATE INDEX audit_tenant ON audit (tenant, seq);
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
COMMIT;
PRAGMA user_version=1;
