-- Version 4: an idempotency key belongs to a credential's id, and its digest is of the request.
-- Keys that were kept by name are forgotten: a name does not show whose they were.

DELETE FROM idempotency;
