-- Devices, how users enrol them, and which one was shown when a session began.
CREATE TABLE device (
    tenant INTEGER NOT NULL, seq INTEGER NOT NULL, name TEXT NOT NULL, owner INTEGER, platform TEXT, approval TEXT NOT NULL,
    compliant INTEGER, compliant_until INTEGER, authority TEXT NOT NULL, certificate TEXT NOT NULL, key TEXT NOT NULL,
    expires INTEGER NOT NULL, created INTEGER NOT NULL, seen INTEGER,
    PRIMARY KEY (tenant, seq),
    FOREIGN KEY (tenant, owner) REFERENCES user (tenant, seq)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX device_key ON device (tenant, key, authority);
CREATE INDEX device_owner ON device (tenant, owner);
CREATE INDEX device_authority ON device (tenant, authority);
CREATE INDEX device_approval ON device (tenant, approval);
CREATE INDEX device_expires ON device (expires);
CREATE INDEX device_compliant_until ON device (compliant_until) WHERE compliant_until IS NOT NULL;
CREATE TABLE device_settings (tenant INTEGER PRIMARY KEY, settings TEXT NOT NULL) STRICT;
ALTER TABLE session ADD COLUMN device INTEGER;
CREATE INDEX session_device ON session (tenant, device) WHERE device IS NOT NULL;
