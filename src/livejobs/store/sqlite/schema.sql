-- Version 1. Each later version is another file that changes these tables: see MIGRATIONS in sql.py.

-- The last seq of a project is not kept here, since every commit would then write one page more. It
-- is the highest seq in jobs or gone: the last change of a project either wrote a head or deleted a
-- job, and the newest deletions are kept.
CREATE TABLE projects (
  pk INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  epoch TEXT NOT NULL,
  floor INTEGER NOT NULL            -- the seq of the last deletion that was forgotten
) STRICT;

-- One row for each job. The order of pk is the order of creation, and of every list.
CREATE TABLE jobs (
  pk INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  project INTEGER NOT NULL,
  status INTEGER NOT NULL,          -- index into STATUSES; unfinished ones are < 2
  expires_at INTEGER,
  seq INTEGER NOT NULL,
  head BLOB NOT NULL                -- last, so that other columns are read without its overflow pages
) STRICT;

CREATE UNIQUE INDEX jobs_seq ON jobs (project, seq);
CREATE INDEX jobs_unfinished ON jobs (pk) WHERE status < 2;
CREATE INDEX jobs_expires ON jobs (expires_at) WHERE expires_at IS NOT NULL;

-- What jobs are found by: a row for a job's type, owner, parent and each tag ("type:render"), and one
-- for the job itself (""). A list reads some stretches of this key, newest first; each further
-- filter is one lookup in it.
CREATE TABLE labels (
  label TEXT NOT NULL,
  project INTEGER NOT NULL,
  status INTEGER NOT NULL,
  pk INTEGER NOT NULL,              -- the job's
  PRIMARY KEY (label, project, status, pk)
) STRICT, WITHOUT ROWID;

-- The length of each stretch.
CREATE TABLE counters (
  label TEXT NOT NULL,
  project INTEGER NOT NULL,
  status INTEGER NOT NULL,
  n INTEGER NOT NULL,
  PRIMARY KEY (label, project, status)
) STRICT, WITHOUT ROWID;

-- Finds part of an id or title. It keeps no copy of the text.
CREATE VIRTUAL TABLE search USING fts5 (id, title, content = '', tokenize = 'trigram');

-- The key packs job, kind and n (see key() in rows.py), so that the entries of a job and kind lie
-- together, in order, without an index. Only feeds over many jobs need one.
CREATE TABLE entries (
  key INTEGER PRIMARY KEY,
  project INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  level INTEGER NOT NULL,
  value BLOB NOT NULL
) STRICT;

CREATE INDEX entries_seq ON entries (project, seq);

-- Deleted jobs whose entries are still being removed. Each commit removes some, since a job may have
-- a million. Their pk is not given again before that.
CREATE TABLE ended (pk INTEGER PRIMARY KEY) STRICT;

CREATE TABLE gone (
  project INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  id TEXT NOT NULL,
  PRIMARY KEY (project, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE idempotency (
  credential TEXT NOT NULL,
  key TEXT NOT NULL,
  body BLOB NOT NULL,
  job TEXT NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (credential, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_expires ON idempotency (expires_at);
