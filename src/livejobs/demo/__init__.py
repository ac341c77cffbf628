"""`livejobs demo`: simulated jobs, so that the server has something to show."""
