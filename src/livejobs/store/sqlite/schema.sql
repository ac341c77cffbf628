-- Version 1. A later version is a file of its own that changes this one: see MIGRATIONS in sql.py.

-- The last seq of a project is not kept here, which would be a page more in every commit: it is
-- the highest one in jobs or gone, since the last change of a project either wrote its head or
-- left its deletion, and of deletions the newest are kept.
CREATE TABLE projects (
  pk INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  epoch TEXT NOT NULL,
  floor INTEGER NOT NULL            -- the seq of the last deletion that was forgotten
) STRICT;

-- What is told: one row a job. The order of pk is the order of creation, and of every list.
CREATE TABLE jobs (
  pk INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  project INTEGER NOT NULL,
  status INTEGER NOT NULL,          -- index into STATUSES; unfinished ones are < 2
  expires_at INTEGER,
  seq INTEGER NOT NULL,
  head BLOB NOT NULL                -- last, so that the rest is read without its overflow pages
) STRICT;

CREATE UNIQUE INDEX jobs_seq ON jobs (project, seq);
CREATE INDEX jobs_unfinished ON jobs (pk) WHERE status < 2;
CREATE INDEX jobs_expires ON jobs (expires_at) WHERE expires_at IS NOT NULL;

-- What is searched by: a row for each of a job's type, owner, parent and tags ("type:render"),
-- and one for the job itself (""). Every list is a walk down some stretches of this key, newest
-- first, and every further filter a look at one place in it.
CREATE TABLE labels (
  label TEXT NOT NULL,
  project INTEGER NOT NULL,
  status INTEGER NOT NULL,
  pk INTEGER NOT NULL,              -- the job's
  PRIMARY KEY (label, project, status, pk)
) STRICT, WITHOUT ROWID;

-- How long each of those stretches is.
CREATE TABLE counters (
  label TEXT NOT NULL,
  project INTEGER NOT NULL,
  status INTEGER NOT NULL,
  n INTEGER NOT NULL,
  PRIMARY KEY (label, project, status)
) STRICT, WITHOUT ROWID;

-- Part of an id or title. It keeps no text of its own.
CREATE VIRTUAL TABLE search USING fts5 (id, title, content = '', tokenize = 'trigram');

-- The key packs job, kind and n (see key() in rows.py), so that one job's entries of a kind
-- lie together, in order, without an index; only feeds over many jobs need one.
CREATE TABLE entries (
  key INTEGER PRIMARY KEY,
  project INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  level INTEGER NOT NULL,
  value BLOB NOT NULL
) STRICT;

CREATE INDEX entries_seq ON entries (project, seq);

-- Deleted jobs whose entries are still being removed, some in every commit, since a job may have
-- a million of them. Their pk is not given again before.
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
