-- Version 1. Each later version is another file that changes these tables: see MIGRATIONS in sql.py.
-- The project comes first in every key, so that the tables can be divided by project.
-- Several nodes use these tables at once.

CREATE TABLE livejobs.meta (version integer NOT NULL);

CREATE TABLE livejobs.projects (
  pk integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text COLLATE "C" NOT NULL UNIQUE,
  epoch text COLLATE "C" NOT NULL,
  seq bigint NOT NULL,              -- the last one given
  floor bigint NOT NULL             -- the seq of the last deletion that was forgotten
);

-- The keys of jobs. No two nodes get the same one.
CREATE SEQUENCE livejobs.pks;

-- One row for each job: what changes seldom. The order of pk is the order of creation, and of lists.
CREATE TABLE livejobs.jobs (
  project integer NOT NULL,
  pk bigint NOT NULL,
  id text COLLATE "C" NOT NULL UNIQUE,
  status smallint NOT NULL,         -- index into STATUSES; unfinished ones are < 2
  expires_at bigint,
  PRIMARY KEY (project, pk)
);

CREATE INDEX jobs_unfinished ON livejobs.jobs (pk) WHERE status < 2;
CREATE INDEX jobs_expires ON livejobs.jobs (expires_at) WHERE expires_at IS NOT NULL;

-- What every report changes. PostgreSQL writes a changed row anew, with all of its index entries, so
-- this table has as few indexes as possible.
CREATE TABLE livejobs.heads (
  project integer NOT NULL,
  pk bigint NOT NULL,               -- the job's
  seq bigint NOT NULL,
  head bytea NOT NULL,
  PRIMARY KEY (project, pk)
);

CREATE INDEX heads_seq ON livejobs.heads (project, seq);

-- What jobs are found by: a row for a job's type, owner, parent, flag and each tag ("type:render"),
-- and one for the job itself ("").
CREATE TABLE livejobs.labels (
  project integer NOT NULL,
  label text COLLATE "C" NOT NULL,
  status smallint NOT NULL,
  pk bigint NOT NULL,               -- the job's
  PRIMARY KEY (project, label, status, pk)
);

-- How many rows of `labels` there are. A row that has become 0 is removed by a later commit.
CREATE TABLE livejobs.counters (
  project integer NOT NULL,
  label text COLLATE "C" NOT NULL,
  status smallint NOT NULL,
  n bigint NOT NULL,
  PRIMARY KEY (project, label, status)
);

CREATE INDEX counters_empty ON livejobs.counters (project) WHERE n = 0;

-- Finds part of an id or title. The text is in lower case by Python's rules, not by a locale's.
CREATE TABLE livejobs.search (
  project integer NOT NULL,
  pk bigint NOT NULL,               -- the job's
  text text COLLATE "C" NOT NULL,
  PRIMARY KEY (project, pk)
);

CREATE INDEX search_newest ON livejobs.search (pk);
CREATE INDEX search_text ON livejobs.search USING gin (text gin_trgm_ops);

-- The key packs job, kind and n (see key() in rows.py), as in SQLite.
CREATE TABLE livejobs.entries (
  project integer NOT NULL,
  key bigint NOT NULL,
  seq bigint NOT NULL,
  level smallint NOT NULL,
  value bytea NOT NULL,
  PRIMARY KEY (project, key)
);

CREATE INDEX entries_seq ON livejobs.entries (project, seq);

-- Deleted jobs whose entries are still being removed.
CREATE TABLE livejobs.ended (
  project integer NOT NULL,
  pk bigint NOT NULL,
  PRIMARY KEY (project, pk)
);

CREATE TABLE livejobs.gone (
  project integer NOT NULL,
  seq bigint NOT NULL,
  id text COLLATE "C" NOT NULL,
  PRIMARY KEY (project, seq)
);

CREATE TABLE livejobs.idempotency (
  credential text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  body bytea NOT NULL,
  job text COLLATE "C" NOT NULL,
  expires_at bigint NOT NULL,
  PRIMARY KEY (credential, key)
);

CREATE INDEX idempotency_expires ON livejobs.idempotency (expires_at);

-- What is counted in a step of time: see core/history.py. There are steps of several lengths.
CREATE TABLE livejobs.history (
  project integer NOT NULL,
  step integer NOT NULL,            -- ms
  at bigint NOT NULL,               -- when the step begins
  what integer NOT NULL,
  n bigint NOT NULL,
  PRIMARY KEY (project, step, at, what)
);

-- The files of jobs, by their keys.
CREATE TABLE livejobs.files (
  project integer NOT NULL,
  key text COLLATE "C" NOT NULL PRIMARY KEY,
  size bigint NOT NULL,             -- in the file area; 0 for one that lies elsewhere
  ended boolean NOT NULL,           -- no job has it any more
  downloads bigint NOT NULL DEFAULT 0,
  last_at bigint
);

CREATE INDEX files_ended ON livejobs.files (key) WHERE ended;

CREATE TABLE livejobs.keys (
  id text COLLATE "C" PRIMARY KEY,
  key bytea NOT NULL
);

-- The audit trail.
CREATE TABLE livejobs.acts (
  n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  act bytea NOT NULL,
  job text COLLATE "C"
);

CREATE INDEX acts_job ON livejobs.acts (job, n) WHERE job IS NOT NULL;

-- What all nodes know: by name, one value.
CREATE TABLE livejobs.facts (
  name text COLLATE "C" PRIMARY KEY,
  value text NOT NULL
);

-- The nodes. Every commit writes its number here, so that a node that has lost its connection
-- can find out whether its last commit was kept.
CREATE TABLE livejobs.nodes (
  id text COLLATE "C" PRIMARY KEY,
  term bigint NOT NULL,             -- grows with every connection: one of before can't commit
  done bigint NOT NULL,             -- the number of the last commit
  seen timestamptz NOT NULL         -- the last sign of life
) WITH (fillfactor = 50);

-- The last heartbeat of each running job. After a crash of the database the table is empty, and
-- silence is measured anew.
CREATE UNLOGGED TABLE livejobs.beats (
  job text COLLATE "C" PRIMARY KEY,
  node text COLLATE "C" NOT NULL,
  at bigint NOT NULL,
  written timestamptz NOT NULL
);

CREATE INDEX beats_written ON livejobs.beats (written);
