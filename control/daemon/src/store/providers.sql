-- External identity providers. Secrets stand apart, so that nothing that reads providers for people can see one.
CREATE TABLE provider (
    tenant INTEGER NOT NULL, name TEXT NOT NULL, settings TEXT NOT NULL, groups TEXT NOT NULL,
    PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE provider_secret (
    tenant INTEGER NOT NULL, provider TEXT NOT NULL, secret TEXT NOT NULL,
    PRIMARY KEY (tenant, provider),
    FOREIGN KEY (tenant, provider) REFERENCES provider (tenant, name) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
-- Who a provider's users are here.
CREATE TABLE provider_user (
    tenant INTEGER NOT NULL, provider TEXT NOT NULL, subject TEXT NOT NULL, user INTEGER NOT NULL,
    PRIMARY KEY (tenant, provider, subject),
    FOREIGN KEY (tenant, provider) REFERENCES provider (tenant, name) ON DELETE CASCADE,
    FOREIGN KEY (tenant, user) REFERENCES user (tenant, seq) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX provider_user_user ON provider_user (tenant, user);
-- Who is in a group because a provider says so: those that are there by hand have no row here.
CREATE TABLE provider_member (
    tenant INTEGER NOT NULL, grp INTEGER NOT NULL, user INTEGER NOT NULL, provider TEXT NOT NULL,
    PRIMARY KEY (tenant, grp, user, provider),
    FOREIGN KEY (tenant, provider) REFERENCES provider (tenant, name) ON DELETE CASCADE,
    FOREIGN KEY (tenant, grp, user) REFERENCES group_user (tenant, grp, user) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX provider_member_user ON provider_member (tenant, user);
-- What a provider calls a session of ours. A trigger and no foreign key: a session that is replaced keeps it.
CREATE TABLE session_provider (
    session TEXT PRIMARY KEY, tenant INTEGER NOT NULL, provider TEXT NOT NULL, subject TEXT NOT NULL, sid TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX session_provider_subject ON session_provider (tenant, provider, subject);
CREATE TRIGGER session_provider_ends AFTER DELETE ON session BEGIN
    DELETE FROM session_provider WHERE session=old.id;
END;
