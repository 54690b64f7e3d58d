-- Schema 3: sessions. One that ended is gone; the sign-in log tells of it.
CREATE TABLE session (
    id TEXT PRIMARY KEY, tenant INTEGER NOT NULL, user INTEGER NOT NULL, browser BLOB NOT NULL UNIQUE,
    created INTEGER NOT NULL, authenticated INTEGER NOT NULL, methods TEXT NOT NULL, provider TEXT, source TEXT,
    user_agent TEXT NOT NULL, expires INTEGER NOT NULL, idle INTEGER NOT NULL, persistent INTEGER NOT NULL,
    seen INTEGER NOT NULL,
    FOREIGN KEY (tenant, user) REFERENCES user (tenant, seq) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX session_user ON session (tenant, user);
