"""The service: its verbs, and its parts put together.

verbs: LiveJobs and Job, for the doors and for in-process code
assembly: all parts, started and stopped together
nodes: what nodes on one database compare once a second
health: whether the server can take reports, and why not
"""

from __future__ import annotations

from livejobs.service.verbs import Job, LiveJobs

__all__ = ["Job", "LiveJobs"]
