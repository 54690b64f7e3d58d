-- When an assignment last let somebody in. Of the principal the id, or `everyone`.
CREATE TABLE assignment_use (
    tenant INTEGER NOT NULL, app INTEGER NOT NULL, principal TEXT NOT NULL, used INTEGER NOT NULL,
    PRIMARY KEY (tenant, app, principal)
) STRICT, WITHOUT ROWID;
