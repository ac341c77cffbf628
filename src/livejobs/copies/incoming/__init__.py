"""From the folder of an export into a database.

importing: the import as a whole
checking: the export and the database, before anything is written
batches: lines of jobs as changes for a store
credentials: keys, webhooks and the audit trail
"""
