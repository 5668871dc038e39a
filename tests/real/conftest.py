"""A browser for the pages of reports."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browser import Page, find_browser, open_browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    program = find_browser()
    if program is None:
        pytest.skip("there is no Chromium here: apt-get install chromium")
    with open_browser(program) as opened:
        yield opened
