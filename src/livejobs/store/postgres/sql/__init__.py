"""Every statement of the PostgreSQL store. The tables are in schema.sql, retention.sql and
webhooks.sql. A module here has the statements of the module with the same name above."""
