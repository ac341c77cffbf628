"""`livejobs demo`: the server with something alive to show. Nobody works here, it only looks so."""
