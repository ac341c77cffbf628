-- A commit writes its rows through two views of the writer's connection, whose triggers put each
-- row into its table. The views hold no rule. Python's sqlite3 releases the GIL several times in a
-- statement, and beside a busy event loop it waits each time to get the GIL back. With the views,
-- a batch of reports is one statement, and its own transaction, instead of three for every job.

-- An entry or, without a level, the new head of the job with this key.
CREATE TEMP VIEW told AS
  SELECT NULL AS level, NULL AS key, NULL AS project, NULL AS seq, NULL AS value;

CREATE TEMP TRIGGER told_entry INSTEAD OF INSERT ON told WHEN NEW.level IS NOT NULL
BEGIN
  INSERT INTO entries (key, project, seq, level, value)
  VALUES (NEW.key, NEW.project, NEW.seq, NEW.level, NEW.value);
END;

CREATE TEMP TRIGGER told_head INSTEAD OF INSERT ON told WHEN NEW.level IS NULL
BEGIN
  UPDATE jobs SET seq = NEW.seq, head = NEW.value WHERE pk = NEW.key;
END;

-- A job enters a stretch (n is 1) or leaves one (n is -1). A row without pk is the sum for its
-- stretch.
CREATE TEMP VIEW moved AS
  SELECT NULL AS label, NULL AS project, NULL AS status, NULL AS pk, NULL AS n;

CREATE TEMP TRIGGER moved_in INSTEAD OF INSERT ON moved WHEN NEW.n = 1 AND NEW.pk IS NOT NULL
BEGIN
  INSERT INTO labels (label, project, status, pk)
  VALUES (NEW.label, NEW.project, NEW.status, NEW.pk);
END;

CREATE TEMP TRIGGER moved_out INSTEAD OF INSERT ON moved WHEN NEW.n = -1 AND NEW.pk IS NOT NULL
BEGIN
  DELETE FROM labels WHERE label = NEW.label AND project = NEW.project
    AND status = NEW.status AND pk = NEW.pk;
END;

CREATE TEMP TRIGGER moved_sum INSTEAD OF INSERT ON moved WHEN NEW.label IS NOT NULL AND NEW.pk IS NULL
BEGIN
  INSERT INTO counters (label, project, status, n)
  VALUES (NEW.label, NEW.project, NEW.status, NEW.n)
  ON CONFLICT DO UPDATE SET n = n + excluded.n;
  DELETE FROM counters WHERE label = NEW.label AND project = NEW.project
    AND status = NEW.status AND n = 0;
END;
