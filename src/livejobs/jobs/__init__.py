"""The jobs in memory, and how they are read. `changes/`: what changes jobs. `commit/`: how each
change is committed.

state: every unfinished job, and finished jobs while clients read them
entries: what memory keeps of a job's entries
lanes: the places of queued jobs
reader: find a job, in memory or in the store
listing: lists of jobs
logs: pages of entries, and a log as it grows
waits: waits for a job
"""
