-- Version 3: webhooks, and their queue.

CREATE TABLE livejobs.hooks (
  pk bigint GENERATED ALWAYS AS IDENTITY,  -- the order of creation
  id text COLLATE "C" PRIMARY KEY,
  job text COLLATE "C",             -- NULL: of a whole project
  gone boolean NOT NULL,            -- its job was deleted
  hook bytea NOT NULL
);

CREATE INDEX hooks_job ON livejobs.hooks (job) WHERE job IS NOT NULL;
CREATE INDEX hooks_gone ON livejobs.hooks (id) WHERE gone;

CREATE TABLE livejobs.deliveries (
  n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  hook text COLLATE "C" NOT NULL,
  project integer NOT NULL,
  job text COLLATE "C" NOT NULL,
  event text COLLATE "C" NOT NULL,
  receiver text COLLATE "C" NOT NULL,
  seq bigint NOT NULL,
  at bigint NOT NULL,
  replay boolean NOT NULL,
  state smallint NOT NULL,          -- index into STATES; 0 is waiting
  attempts integer NOT NULL,
  next_at bigint,
  ended_at bigint,
  code integer,
  ms bigint,
  error text COLLATE "C",
  ref text COLLATE "C",
  head bytea NOT NULL
);

CREATE INDEX deliveries_waiting ON livejobs.deliveries (project, n) WHERE state = 0;
CREATE INDEX deliveries_of ON livejobs.deliveries (hook, job, n);
CREATE INDEX deliveries_hook ON livejobs.deliveries (hook, n);
CREATE INDEX deliveries_ended ON livejobs.deliveries (ended_at) WHERE ended_at IS NOT NULL;
