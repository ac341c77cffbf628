"""How a command has ended: the exit code to pass on, and the end of its job."""

from __future__ import annotations

import os
import signal

from livejobs.client.worker.job import WorkerJob


def exit_code(status: int) -> int:
    """128 + n for a command that was ended by signal n, as shells have it."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def end_job(job: WorkerJob, status: int, last: str, *, cancelled: bool) -> None:
    """`last`: the end of the output. `cancelled`: the command was told to stop from the server."""
    code = os.waitstatus_to_exitcode(status)
    # Ctrl-C cancels the job, as in the SDK.
    if cancelled or code == -signal.SIGINT:
        job.end_cancelled()
    elif code == 0:
        job.succeed()
    elif code < 0:
        job.fail(f"Ended by signal {_name(-code)}", "signal", last or None)
    else:
        job.fail(f"Exit code {code}", "exit_code", last or None)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return str(number)
