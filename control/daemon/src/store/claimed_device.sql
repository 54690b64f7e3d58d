-- What the identity provider said of the device that a session began on.
ALTER TABLE session ADD COLUMN claimed_device TEXT NOT NULL DEFAULT 'unknown';
