"""How a change is committed: in a group, on disk first, then in memory.

committer: runs operations in groups, writes what they change, and follows other nodes
transaction: what a group of operations sees and changes, before any of it is written
publishing: put changes that are on disk into the slots
outcomes: what callers get
"""
