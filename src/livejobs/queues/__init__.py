"""One line for a queue, such as `livejobs.celery.install(app)`: each task is a job."""
