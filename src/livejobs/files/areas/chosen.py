"""The file area that the settings name."""

from __future__ import annotations

from concurrent.futures import Executor
from datetime import timedelta

from livejobs.config import SettingError, Settings
from livejobs.files.areas.area import Area
from livejobs.files.areas.local import LocalArea


def chosen_area(settings: Settings, threads: Executor, settled: timedelta | None = None) -> Area:
    """`settled`: others may be writing there too, and need at most so long for a file."""
    url = settings.object_store
    if url is None:
        return LocalArea(
            settings.files_folder,
            threads,
            shared=settings.sendfile is not None,
            url=settings.files,
            settled=settled,
        )
    try:
        from livejobs.files.areas.objects import ObjectArea  # noqa: PLC0415 - only then its extra
    except ImportError:
        wrong = "needs an extra: pip install 'livejobs[objects]'"
        raise SettingError("files", url, wrong) from None
    return ObjectArea(url, threads)
