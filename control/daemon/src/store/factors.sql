-- Schema 5: what people prove besides a password. Secrets and keys are apart from users, as passwords are.
CREATE TABLE user_totp (
    tenant INTEGER NOT NULL, user INTEGER NOT NULL, secret BLOB NOT NULL, step INTEGER NOT NULL, created INTEGER NOT NULL,
    PRIMARY KEY (tenant, user),
    FOREIGN KEY (tenant, user) REFERENCES user (tenant, seq) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
-- No two users have the same credential (WebAuthn §7.1).
CREATE TABLE user_key (
    credential BLOB PRIMARY KEY, tenant INTEGER NOT NULL, user INTEGER NOT NULL, public_key BLOB NOT NULL,
    counter INTEGER NOT NULL, name TEXT NOT NULL, created INTEGER NOT NULL, used INTEGER NOT NULL,
    FOREIGN KEY (tenant, user) REFERENCES user (tenant, seq) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX user_key_user ON user_key (tenant, user);
CREATE TABLE user_recovery (
    tenant INTEGER NOT NULL, user INTEGER NOT NULL, hash BLOB NOT NULL,
    PRIMARY KEY (tenant, user, hash),
    FOREIGN KEY (tenant, user) REFERENCES user (tenant, seq) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
