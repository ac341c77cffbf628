"""Polls a consolidation until it has ended, and prints what it was told. URL JOB."""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request

url, job_id = sys.argv[1:]
while True:
    try:
        with urllib.request.urlopen(f"{url}/api/v1/consolidation/status/{job_id}") as answer:
            status = json.load(answer)
    except urllib.error.HTTPError as error:
        sys.exit(f"{error.code} {json.load(error)['detail']}")
    print(json.dumps(status), flush=True)
    if status["status"] in ("completed", "failed", "cancelled"):
        break
    time.sleep(0.05)
