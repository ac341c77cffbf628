"""The reference pages have every report, event and command, as the code has them."""

from __future__ import annotations

import pytest

from tests.docs.made import DOCS, PAGES, page


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_as_the_code_has_it(name: str) -> None:
    assert (DOCS / name).read_text() == page(name), "Run scripts/docs reference."
