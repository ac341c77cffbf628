"""How many random examples a test tries: many with `--hypothesis-profile deep`."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

SUITE = 50
DEEP = 20  # times as many

# A slow machine must not fail a test, so hypothesis measures no time.
UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def register_profiles() -> None:
    settings.register_profile("suite", UNTIMED, max_examples=SUITE)
    settings.register_profile("deep", UNTIMED, max_examples=SUITE * DEEP)
    settings.load_profile("suite")


def examples(number: int) -> int:
    """For a test that needs another number than most."""
    return number * DEEP if settings.get_current_profile_name() == "deep" else number
