"""Imported by a template whose forks use httpx: what each fork would import and read again, with
all certificates of the system, for 80 ms of processor time."""

from __future__ import annotations

from functools import cache

import httpcore2

httpcore2.default_ssl_context = cache(httpcore2.default_ssl_context)
httpcore2.default_ssl_context()
