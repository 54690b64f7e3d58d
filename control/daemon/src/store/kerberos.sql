-- Whose Kerberos tickets sign users in.
CREATE TABLE kerberos_sign_in (tenant INTEGER PRIMARY KEY, settings TEXT NOT NULL) STRICT;
-- Names of users in Kerberos that are no login names.
CREATE INDEX user_onprem_upn ON user (tenant, lower(json_extract(attributes, '$.onprem_upn')));
CREATE INDEX user_sam_account_name ON user (tenant, lower(json_extract(attributes, '$.sam_account_name')));
