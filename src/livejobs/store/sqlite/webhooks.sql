-- Version 7: webhooks, and their queue.

CREATE TABLE hooks (
  pk INTEGER PRIMARY KEY,           -- the order of creation
  id TEXT NOT NULL UNIQUE,
  job TEXT,                         -- NULL: of a whole project
  gone INTEGER NOT NULL,            -- 1: its job was deleted
  hook BLOB NOT NULL
) STRICT;

CREATE INDEX hooks_job ON hooks (job) WHERE job IS NOT NULL;
CREATE INDEX hooks_gone ON hooks (id) WHERE gone = 1;

CREATE TABLE deliveries (
  n INTEGER PRIMARY KEY AUTOINCREMENT,
  hook TEXT NOT NULL,
  project INTEGER NOT NULL,
  job TEXT NOT NULL,
  event TEXT NOT NULL,
  receiver TEXT NOT NULL,
  seq INTEGER NOT NULL,
  at INTEGER NOT NULL,
  replay INTEGER NOT NULL,
  state INTEGER NOT NULL,           -- index into STATES; 0 is waiting
  attempts INTEGER NOT NULL,
  next_at INTEGER,
  ended_at INTEGER,
  code INTEGER,
  ms INTEGER,
  error TEXT,
  ref TEXT,
  head BLOB NOT NULL
) STRICT;

CREATE INDEX deliveries_waiting ON deliveries (project, n) WHERE state = 0;
CREATE INDEX deliveries_of ON deliveries (hook, job, n);
CREATE INDEX deliveries_hook ON deliveries (hook, n);
CREATE INDEX deliveries_ended ON deliveries (ended_at) WHERE ended_at IS NOT NULL;
