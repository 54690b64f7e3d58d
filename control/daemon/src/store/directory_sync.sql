-- Directory synchronisation: sources, and which users and groups are theirs. Whoever has no row here is nobody's but ours.
CREATE TABLE sync_source (
    tenant INTEGER NOT NULL, name TEXT NOT NULL, grp INTEGER NOT NULL, settings TEXT NOT NULL,
    PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;
-- version: the user's when the source was followed last; another one means that somebody else changed it since.
-- state: 0 as it is, 1 disabled because the source says so, 2 gone, 3 gone and disabled by somebody here.
CREATE TABLE sync_user (
    tenant INTEGER NOT NULL, source TEXT NOT NULL, object TEXT NOT NULL, user INTEGER NOT NULL,
    digest TEXT NOT NULL, version INTEGER NOT NULL, state INTEGER NOT NULL,
    PRIMARY KEY (tenant, source, object),
    FOREIGN KEY (tenant, source) REFERENCES sync_source (tenant, name) ON DELETE CASCADE,
    FOREIGN KEY (tenant, user) REFERENCES user (tenant, seq) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX sync_user_user ON sync_user (tenant, user);
CREATE TABLE sync_group (
    tenant INTEGER NOT NULL, source TEXT NOT NULL, object TEXT NOT NULL, grp INTEGER NOT NULL,
    digest TEXT NOT NULL, version INTEGER NOT NULL,
    PRIMARY KEY (tenant, source, object),
    FOREIGN KEY (tenant, source) REFERENCES sync_source (tenant, name) ON DELETE CASCADE,
    FOREIGN KEY (tenant, grp) REFERENCES user_group (tenant, seq) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX sync_group_group ON sync_group (tenant, grp);
