-- Schema 5: SCIM. A tenant's token; what the client calls users and groups; a version for each of them.
CREATE TABLE scim_token (
    tenant INTEGER PRIMARY KEY, name TEXT NOT NULL, key TEXT NOT NULL, expires INTEGER, created INTEGER NOT NULL
) STRICT;
CREATE TABLE scim_user (
    tenant INTEGER NOT NULL, user INTEGER NOT NULL, external_id TEXT NOT NULL,
    PRIMARY KEY (tenant, user),
    FOREIGN KEY (tenant, user) REFERENCES user (tenant, seq) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX scim_user_external ON scim_user (tenant, external_id);
CREATE TABLE scim_group (
    tenant INTEGER NOT NULL, grp INTEGER NOT NULL, display_name TEXT NOT NULL, external_id TEXT,
    PRIMARY KEY (tenant, grp),
    FOREIGN KEY (tenant, grp) REFERENCES user_group (tenant, seq) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- Counted by the store itself, so that no change forgets it. What was there before this schema has no row: version 0.
CREATE TABLE user_version (
    tenant INTEGER NOT NULL, user INTEGER NOT NULL, version INTEGER NOT NULL, changed INTEGER NOT NULL,
    PRIMARY KEY (tenant, user),
    FOREIGN KEY (tenant, user) REFERENCES user (tenant, seq) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE TABLE group_version (
    tenant INTEGER NOT NULL, grp INTEGER NOT NULL, version INTEGER NOT NULL, changed INTEGER NOT NULL,
    PRIMARY KEY (tenant, grp),
    FOREIGN KEY (tenant, grp) REFERENCES user_group (tenant, seq) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE TRIGGER user_made AFTER INSERT ON user BEGIN
    INSERT INTO user_version VALUES (NEW.tenant, NEW.seq, 1, CAST(unixepoch('subsec')*1000 AS INTEGER))
        ON CONFLICT DO UPDATE SET version=version+1, changed=excluded.changed; END;
CREATE TRIGGER user_changed AFTER UPDATE ON user BEGIN
    INSERT INTO user_version VALUES (NEW.tenant, NEW.seq, 1, CAST(unixepoch('subsec')*1000 AS INTEGER))
        ON CONFLICT DO UPDATE SET version=version+1, changed=excluded.changed; END;
CREATE TRIGGER scim_user_made AFTER INSERT ON scim_user BEGIN
    INSERT INTO user_version VALUES (NEW.tenant, NEW.user, 1, CAST(unixepoch('subsec')*1000 AS INTEGER))
        ON CONFLICT DO UPDATE SET version=version+1, changed=excluded.changed; END;
CREATE TRIGGER scim_user_changed AFTER UPDATE ON scim_user BEGIN
    INSERT INTO user_version VALUES (NEW.tenant, NEW.user, 1, CAST(unixepoch('subsec')*1000 AS INTEGER))
        ON CONFLICT DO UPDATE SET version=version+1, changed=excluded.changed; END;
-- Rows also go because their user or group goes: then there is nothing to count.
CREATE TRIGGER scim_user_gone AFTER DELETE ON scim_user
    WHEN EXISTS (SELECT 1 FROM user WHERE tenant=OLD.tenant AND seq=OLD.user) BEGIN
    INSERT INTO user_version VALUES (OLD.tenant, OLD.user, 1, CAST(unixepoch('subsec')*1000 AS INTEGER))
        ON CONFLICT DO UPDATE SET version=version+1, changed=excluded.changed; END;
CREATE TRIGGER user_group_made AFTER INSERT ON user_group BEGIN
    INSERT INTO group_version VALUES (NEW.tenant, NEW.seq, 1, CAST(unixepoch('subsec')*1000 AS INTEGER))
        ON CONFLICT DO UPDATE SET version=version+1, changed=excluded.changed; END;
CREATE TRIGGER user_group_changed AFTER UPDATE ON user_group BEGIN
    INSERT INTO group_version VALUES (NEW.tenant, NEW.seq, 1, CAST(unixepoch('subsec')*1000 AS INTEGER))
        ON CONFLICT DO UPDATE SET version=version+1, changed=excluded.changed; END;
CREATE TRIGGER scim_group_made AFTER INSERT ON scim_group BEGIN
    INSERT INTO group_version VALUES (NEW.tenant, NEW.grp, 1, CAST(unixepoch('subsec')*1000 AS INTEGER))
        ON CONFLICT DO UPDATE SET version=version+1, changed=excluded.changed; END;
CREATE TRIGGER scim_group_changed AFTER UPDATE ON scim_group BEGIN
    INSERT INTO group_version VALUES (NEW.tenant, NEW.grp, 1, CAST(unixepoch('subsec')*1000 AS INTEGER))
        ON CONFLICT DO UPDATE SET version=version+1, changed=excluded.changed; END;
CREATE TRIGGER group_user_joined AFTER INSERT ON group_user BEGIN
    INSERT INTO group_version VALUES (NEW.tenant, NEW.grp, 1, CAST(unixepoch('subsec')*1000 AS INTEGER))
        ON CONFLICT DO UPDATE SET version=version+1, changed=excluded.changed; END;
CREATE TRIGGER group_user_left AFTER DELETE ON group_user
    WHEN EXISTS (SELECT 1 FROM user_group WHERE tenant=OLD.tenant AND seq=OLD.grp) BEGIN
    INSERT INTO group_version VALUES (OLD.tenant, OLD.grp, 1, CAST(unixepoch('subsec')*1000 AS INTEGER))
        ON CONFLICT DO UPDATE SET version=version+1, changed=excluded.changed; END;
CREATE TRIGGER group_group_joined AFTER INSERT ON group_group BEGIN
    INSERT INTO group_version VALUES (NEW.tenant, NEW.outer_grp, 1, CAST(unixepoch('subsec')*1000 AS INTEGER))
        ON CONFLICT DO UPDATE SET version=version+1, changed=excluded.changed; END;
CREATE TRIGGER group_group_left AFTER DELETE ON group_group
    WHEN EXISTS (SELECT 1 FROM user_group WHERE tenant=OLD.tenant AND seq=OLD.outer_grp) BEGIN
    INSERT INTO group_version VALUES (OLD.tenant, OLD.outer_grp, 1, CAST(unixepoch('subsec')*1000 AS INTEGER))
        ON CONFLICT DO UPDATE SET version=version+1, changed=excluded.changed; END;
