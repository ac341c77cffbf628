-- Version 4: idempotency keys belong to a credential's id, and their digest is of what was asked
-- for. Those that were kept by name are forgotten: nobody can tell any more whose they were.

DELETE FROM idempotency;
