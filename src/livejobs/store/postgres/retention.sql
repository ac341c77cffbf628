-- Version 2: the oldest entries of a job are removed, when the server limits how many it keeps.

-- Entries that are still to be removed: of a job and kind, all up to this key.
CREATE TABLE livejobs.trims (
  project integer NOT NULL,
  kind bigint NOT NULL,             -- the key without its n
  last bigint NOT NULL,
  PRIMARY KEY (project, kind)
);
