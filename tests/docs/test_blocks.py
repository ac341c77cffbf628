"""Every code block of the docs is tried by a test."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from tests.docs import checks
from tests.docs.blocks import PAGES, ROOT, SHELL, WAYS, Block, Elsewhere, Never, blocks, texts, way

BLOCKS = list(blocks())
HERE = [block for block in BLOCKS if callable(way(block))]
ELSEWHERE = {(it.page, it.language): it for it in BLOCKS if isinstance(way(it), Elsewhere)}.values()


def test_a_test_knows_every_block() -> None:
    unknown = [str(block) for block in BLOCKS if way(block) is None]
    assert unknown == [], "Add a line to WAYS in tests/docs/blocks.py."


@pytest.mark.parametrize("block", HERE, ids=str)
def test_the_block_is_what_it_seems(block: Block) -> None:
    check = way(block)
    assert not isinstance(check, Elsewhere | Never)
    assert check is not None
    check(block.text)


PICTURES = {"ARCHITECTURE.md"}  # drawn in text


def test_every_block_names_its_language() -> None:
    """Else nothing would try it."""
    fences = re.compile(r"^ *(```|~~~)", re.MULTILINE)
    for page in (str(path.relative_to(ROOT)) for path in PAGES):
        known = sum(block.page == page for block in BLOCKS)
        assert page in PICTURES or len(fences.findall((ROOT / page).read_text())) == 2 * known, page


def test_the_list_names_only_blocks_that_are_there() -> None:
    assert {(block.page, block.language) for block in BLOCKS} >= WAYS.keys()


def test_every_shell_block_has_a_test_that_runs_it_or_a_reason() -> None:
    pages = [block.page for block in BLOCKS if block.language == "sh"]
    assert {page: len(ways) for page, ways in SHELL.items()} == Counter(pages)


@pytest.mark.parametrize("page", SHELL)
def test_the_tests_that_run_shell_blocks_read_the_page(page: str) -> None:
    for found, text in zip(SHELL[page], texts(page, "sh"), strict=True):
        if isinstance(found, Elsewhere):
            assert reads(ROOT / found.test, Block(page, "sh", text, 0))


def reads(test: Path, block: Block) -> bool:
    """Whether the test names the page, or tries a language on all pages."""
    text = test.read_text()
    stem = Path(block.page).stem
    return any(
        name in text for name in (f"{stem}.md", f'"{stem}"', f'language == "{block.language}"')
    )


@pytest.mark.parametrize("block", ELSEWHERE, ids=str)
def test_the_test_that_is_named_reads_the_page(block: Block) -> None:
    found = way(block)
    assert isinstance(found, Elsewhere)
    assert reads(ROOT / found.test, block)


WRONG: list[tuple[Callable[[str], None], str]] = [
    (checks.is_javascript, "const = 1;"),
    (checks.is_javascript, 'import { wacth } from "livejobs";\nwacth();'),
    (checks.is_shell, "for a in 1 2; do"),
    (checks.is_shell, "docker compose -f docker/gone.yaml up"),
    (checks.is_nginx, "location /;"),
    (checks.is_routes, "GET /v1/job"),
    (checks.is_routes, "PATCH /v1/jobs"),
]


@pytest.mark.parametrize(("check", "text"), WRONG)
def test_a_check_finds_what_is_wrong(check: Callable[[str], None], text: str) -> None:
    with pytest.raises(AssertionError):
        check(text)


def test_a_command_with_a_wrong_option_is_found() -> None:
    with pytest.raises(click.UsageError):
        checks.is_shell("worker | livejobs report JOB --strictly\n")
