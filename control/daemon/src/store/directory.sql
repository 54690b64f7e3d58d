-- Schema 2: the embedded directory.
CREATE TABLE user (
    tenant INTEGER NOT NULL, seq INTEGER NOT NULL, login TEXT NOT NULL, display_name TEXT NOT NULL, mail TEXT,
    attributes TEXT NOT NULL, guest INTEGER NOT NULL, expires INTEGER, enabled INTEGER NOT NULL,
    created INTEGER NOT NULL, password_set INTEGER,
    PRIMARY KEY (tenant, seq)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX user_login ON user (tenant, login);
-- Apart, so that nothing that reads users can see one.
CREATE TABLE user_password (
    tenant INTEGER NOT NULL, user INTEGER NOT NULL, phc TEXT NOT NULL,
    PRIMARY KEY (tenant, user),
    FOREIGN KEY (tenant, user) REFERENCES user (tenant, seq) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE TABLE user_group (
    tenant INTEGER NOT NULL, seq INTEGER NOT NULL, name TEXT NOT NULL, description TEXT NOT NULL, rule TEXT,
    PRIMARY KEY (tenant, seq)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX user_group_name ON user_group (tenant, name);
CREATE TABLE group_user (
    tenant INTEGER NOT NULL, grp INTEGER NOT NULL, user INTEGER NOT NULL,
    PRIMARY KEY (tenant, grp, user),
    FOREIGN KEY (tenant, grp) REFERENCES user_group (tenant, seq) ON DELETE CASCADE,
    FOREIGN KEY (tenant, user) REFERENCES user (tenant, seq) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX group_user_user ON group_user (tenant, user, grp);
CREATE TABLE group_owner (
    tenant INTEGER NOT NULL, grp INTEGER NOT NULL, user INTEGER NOT NULL,
    PRIMARY KEY (tenant, grp, user),
    FOREIGN KEY (tenant, grp) REFERENCES user_group (tenant, seq) ON DELETE CASCADE,
    FOREIGN KEY (tenant, user) REFERENCES user (tenant, seq) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX group_owner_user ON group_owner (tenant, user, grp);
CREATE TABLE group_group (
    tenant INTEGER NOT NULL, outer_grp INTEGER NOT NULL, inner_grp INTEGER NOT NULL,
    PRIMARY KEY (tenant, outer_grp, inner_grp),
    FOREIGN KEY (tenant, outer_grp) REFERENCES user_group (tenant, seq) ON DELETE CASCADE,
    FOREIGN KEY (tenant, inner_grp) REFERENCES user_group (tenant, seq) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX group_group_inner ON group_group (tenant, inner_grp);
