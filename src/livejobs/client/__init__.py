"""The worker's side: report on jobs, and read them, from Python.

Import names from `livejobs`. Nothing here imports the server.
"""
