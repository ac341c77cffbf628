"""Commands that ask a running server about jobs, or change one. They load nothing of the server.

jobs: list jobs
logs: print a job's log
get: download a job's files
wait: wait for a job's end
answer: answer what a job waits for
cancel: cancel a job
"""
