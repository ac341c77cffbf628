-- Version 5: counts over time, flags of jobs, and the audit trail of a job.

-- What is counted in a step of time: see core/history.py. There are steps of several lengths.
CREATE TABLE history (
  step INTEGER NOT NULL,            -- ms
  project INTEGER NOT NULL,         -- 0: all together, so that a dashboard reads few rows
  at INTEGER NOT NULL,              -- when the step begins
  what INTEGER NOT NULL,
  n INTEGER NOT NULL,
  PRIMARY KEY (step, project, at, what)
) STRICT, WITHOUT ROWID;

-- A flag of a job is a label now.
INSERT INTO labels (label, project, status, pk)
  SELECT 'flag:stalled', project, status, pk FROM jobs
  WHERE status < 2 AND json_extract(CAST(head AS TEXT), '$.stalled');

INSERT INTO counters (label, project, status, n)
  SELECT label, project, status, count(*) FROM labels WHERE label = 'flag:stalled' GROUP BY 1, 2, 3;

-- The id of the job that an act was done to.
ALTER TABLE acts ADD COLUMN job TEXT;

UPDATE acts SET job = json_extract(CAST(act AS TEXT), '$.job');

CREATE INDEX acts_job ON acts (job, n) WHERE job IS NOT NULL;
