"""`livejobs demo`: a server with workers, so that it has something to show.

The workers are a process of their own (`python -m livejobs.demo`), and use the SDK as any worker
does. crew.py is the server's side: it starts that process and ends it.
"""
