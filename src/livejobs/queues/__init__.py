"""What `livejobs.celery` and the modules of the other queue libraries have in common."""
