-- Version 6: the oldest entries of a job are removed, when the server limits how many it keeps.

-- Entries that are still to be removed: of a job and kind, all up to this key. Each piece of tidying
-- removes some, since there may be very many.
CREATE TABLE trims (
  kind INTEGER PRIMARY KEY,         -- the key without its n
  last INTEGER NOT NULL
) STRICT;
