"""What changes jobs. Each change is an operation for the committer.

creating: create jobs
reporting: apply reports
verbs: each kind of report as a call, for in-process code
changing: cancel, answer, delete
sweeper: what time causes: jobs stall, are lost, and expire
expiry: remove expired jobs, and what removed jobs left
acts: who did what, for the audit trail
"""
