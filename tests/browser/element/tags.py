"""The element as markup, and its bar."""

from __future__ import annotations

from playwright.sync_api import Locator, Page


def element(id: str, attributes: str = "") -> str:
    return f'<live-job job="{id}" {attributes}></live-job>'


def bar(page: Page) -> Locator:
    return page.get_by_role("progressbar")
