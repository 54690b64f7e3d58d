-- How likely it was at sign-in that a session's user was somebody else.
ALTER TABLE session ADD COLUMN risk TEXT NOT NULL DEFAULT 'low';
