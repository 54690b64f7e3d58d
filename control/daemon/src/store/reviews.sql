-- Access reviews. One of an application goes on at a time.
CREATE TABLE access_review (
    tenant INTEGER NOT NULL, seq INTEGER NOT NULL, app INTEGER NOT NULL, reviewers TEXT NOT NULL, started_by TEXT NOT NULL,
    created INTEGER NOT NULL, due INTEGER NOT NULL, finished INTEGER,
    PRIMARY KEY (tenant, seq)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX access_review_open ON access_review (tenant, app) WHERE finished IS NULL;
CREATE TABLE access_review_item (
    tenant INTEGER NOT NULL, review INTEGER NOT NULL, principal TEXT NOT NULL,
    kept INTEGER, decided_by TEXT, decided INTEGER, note TEXT,
    PRIMARY KEY (tenant, review, principal),
    FOREIGN KEY (tenant, review) REFERENCES access_review (tenant, seq) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
