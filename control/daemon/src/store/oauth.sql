-- Clients of the OpenID provider, what they were granted, and what users agreed to. Of secrets and refresh tokens there are hashes.
CREATE TABLE oauth_client (
    tenant INTEGER NOT NULL, seq INTEGER NOT NULL, name TEXT NOT NULL, settings TEXT NOT NULL, secret BLOB,
    PRIMARY KEY (tenant, seq)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX oauth_client_name ON oauth_client (tenant, name);
-- One for each time that a client was let in to a session. Its refresh token is another after each use.
CREATE TABLE oauth_grant (
    id BLOB PRIMARY KEY, session TEXT NOT NULL, tenant INTEGER NOT NULL, client INTEGER NOT NULL, scopes TEXT NOT NULL,
    refresh BLOB NOT NULL, created INTEGER NOT NULL, used INTEGER NOT NULL,
    FOREIGN KEY (tenant, client) REFERENCES oauth_client (tenant, seq) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX oauth_grant_session ON oauth_grant (session, used);
CREATE INDEX oauth_grant_client ON oauth_grant (tenant, client);
CREATE TABLE oauth_consent (
    tenant INTEGER NOT NULL, user INTEGER NOT NULL, client INTEGER NOT NULL, scopes TEXT NOT NULL,
    PRIMARY KEY (tenant, user, client),
    FOREIGN KEY (tenant, user) REFERENCES user (tenant, seq) ON DELETE CASCADE,
    FOREIGN KEY (tenant, client) REFERENCES oauth_client (tenant, seq) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX oauth_consent_client ON oauth_consent (tenant, client);
-- A session that ends takes along what was granted of it, also where it goes because its user does.
CREATE TRIGGER oauth_grant_ends AFTER DELETE ON session BEGIN
    DELETE FROM oauth_grant WHERE session=old.id;
END;
