-- Schema 14: terms of use, all versions of their texts, and who accepted which.
CREATE TABLE terms (
    tenant INTEGER NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL, again_from INTEGER NOT NULL, every INTEGER,
    PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE terms_version (
    tenant INTEGER NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL, title TEXT NOT NULL, format TEXT NOT NULL,
    body TEXT NOT NULL, made INTEGER NOT NULL,
    PRIMARY KEY (tenant, name, version),
    FOREIGN KEY (tenant, name) REFERENCES terms (tenant, name) ON DELETE CASCADE
) STRICT;
CREATE TABLE terms_accepted (
    tenant INTEGER NOT NULL, user INTEGER NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL, accepted INTEGER NOT NULL,
    PRIMARY KEY (tenant, user, name, version),
    FOREIGN KEY (tenant, user) REFERENCES user (tenant, seq) ON DELETE CASCADE,
    FOREIGN KEY (tenant, name) REFERENCES terms (tenant, name) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX terms_accepted_name ON terms_accepted (tenant, name, user);
