"""Jobs in a project of their own, and where the pages show them."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx2
from playwright.sync_api import Locator, Page


class Jobs:
    """A worker with a project of its own."""

    def __init__(self, url: str, http: httpx2.Client) -> None:
        self.url = url
        self.http = http
        self.project = f"p-{uuid4().hex[:8]}"
        self.list = f"{url}/?project={self.project}"

    def create(self, id: str | None = None, **fields: Any) -> str:
        body = {"id": id or uuid4().hex, "project": self.project, **fields}
        answer = self.http.post(f"{self.url}/v1/jobs", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def report(self, id: str, *reports: dict[str, Any]) -> None:
        answer = self.http.post(f"{self.url}/v1/jobs/{id}/reports", json=reports)
        assert answer.status_code == 200, answer.text

    def get(self, id: str) -> Any:
        return self.http.get(f"{self.url}/v1/jobs/{id}").json()

    def page(self, id: str) -> str:
        return f"{self.url}/jobs/{id}"


def progress(current: float, message: str | None = None) -> dict[str, Any]:
    return {"type": "progress", "current": current, "message": message}


def log(message: str, level: str = "info") -> dict[str, Any]:
    return {"type": "log", "message": message, "level": level}


def row(page: Page, title: str) -> Locator:
    return page.locator(".row").filter(has_text=title)


def part(page: Page, name: str) -> Locator:
    return page.locator(f"main [data-part='{name}']").first


def section(page: Page, name: str) -> Locator:
    return page.locator("section").filter(has=page.get_by_role("heading", name=name))


def connection(page: Page) -> Locator:
    return page.locator(".connection")


def open_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def lines(page: Page) -> list[str]:
    """The lines of the log in the document: those near what the reader sees."""
    return page.locator(".line .text").all_text_contents()


HOSTILE = '"><img src=x onerror="window.hit=1"><script>window.hit=1</script>&lt;b&gt;{{7*7}}'
