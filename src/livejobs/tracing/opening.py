"""Traces of `livejobs serve`: on if a collector is named, by our setting or by OpenTelemetry's
own variables, which have all else (sampling, headers, attributes)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from livejobs.config import SettingError, Settings

if TYPE_CHECKING:
    from livejobs.tracing.traces import Traces

COLLECTORS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
NEEDED: Final = "needs OpenTelemetry: pip install 'livejobs[otel]'"

log = logging.getLogger("livejobs")


def open_traces(settings: Settings, environ: Mapping[str, str]) -> Traces | None:
    """None: traces are off."""
    endpoint = settings.otlp_endpoint
    named = next(filter(environ.get, COLLECTORS), None)
    if endpoint is None and (named is None or _turned_off(environ)):
        return None
    try:
        from livejobs.tracing.exporting import traces_to  # noqa: PLC0415 - needs OpenTelemetry
    except ModuleNotFoundError:
        if endpoint is not None:
            raise SettingError("otlp_endpoint", endpoint, NEEDED) from None
        # Such a variable may be set for all programs of a machine.
        log.warning("%s is set, but there are no traces. livejobs %s", named, NEEDED)
        return None
    return traces_to(endpoint)


def _turned_off(environ: Mapping[str, str]) -> bool:
    disabled = environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    return disabled or environ.get("OTEL_TRACES_EXPORTER") == "none"
