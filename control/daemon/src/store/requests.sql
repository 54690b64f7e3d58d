-- Access requests: those that wait, and for a while those that were decided. One of a user for an application waits at a time.
CREATE TABLE access_request (
    tenant INTEGER NOT NULL, seq INTEGER NOT NULL, user INTEGER NOT NULL, app INTEGER NOT NULL, justification TEXT NOT NULL,
    created INTEGER NOT NULL, approved INTEGER, decided_by TEXT, decided INTEGER, note TEXT,
    PRIMARY KEY (tenant, seq),
    FOREIGN KEY (tenant, user) REFERENCES user (tenant, seq) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX access_request_open ON access_request (tenant, user, app) WHERE approved IS NULL;
CREATE INDEX access_request_user ON access_request (tenant, user);
