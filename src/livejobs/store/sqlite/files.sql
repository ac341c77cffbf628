-- Version 3: the files of jobs, by their keys.

CREATE TABLE files (
  key TEXT PRIMARY KEY,
  project INTEGER NOT NULL,
  size INTEGER NOT NULL,            -- in the file area; 0 for one that lies elsewhere
  ended INTEGER NOT NULL,           -- 1: no job has it any more
  downloads INTEGER NOT NULL,
  last_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX files_ended ON files (key) WHERE ended = 1;
