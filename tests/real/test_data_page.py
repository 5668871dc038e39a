"""The page of ``cfgan data stats`` in a real browser: nothing is fetched, nothing overflows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Page, find_browser, open_browser
from data_helpers import plant

from cfgan.data.source import open_source
from cfgan.reports.data_page import data_files
from cfgan.reports.data_report import build_data_report
from cfgan.reports.report_folder import replace_report

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a drawn data set with something of everything, one name of which is long."""
    tmp = tmp_path_factory.mktemp("page")
    planted = plant(tmp)
    text = planted.labels.read_text().replace("Loud", "A_" + "W" * 60, 1)
    planted.labels.write_text(text)
    report = build_data_report(open_source(planted.folder, labels=planted.labels, identity=planted.identity))
    replace_report(tmp / "report", data_files(report))
    return tmp / "report" / "report.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    program = find_browser()
    if program is None:
        pytest.skip("there is no Chromium here: apt-get install chromium")
    with open_browser(program) as opened:
        yield opened


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [380, 1100])
def test_it_opens_from_disk_whole_and_fits(browser: Page, page: Path, width: int, scheme: str) -> None:
    browser.open(page, width=width, scheme=scheme, mobile=width < 500)
    asked = [event["params"]["request"]["url"] for event in browser.events if event["method"].endswith("WillBeSent")]
    assert [url for url in asked if not url.startswith("data:")] == [page.resolve().as_uri()]
    complaints = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
    assert [event for event in browser.events if event["method"] in complaints] == []
    assert browser.ask(
        "[...document.images].every(i => i.complete && i.naturalWidth > 0) && document.images.length > 6"
    )
    assert browser.ask("document.documentElement.scrollWidth") <= width
    assert browser.ask("[...document.querySelectorAll('.scroll')].every(e => e.tabIndex === 0 && e.ariaLabel)")
    lost = "[...document.links].filter(a => !document.getElementById(decodeURIComponent(a.hash.slice(1)))).length"
    assert browser.ask("document.links.length") > 6 and browser.ask(lost) == 0
    levels = browser.ask("[...document.querySelectorAll('h1, h2, h3, h4')].map(h => +h.tagName[1])")
    assert levels[0] == 1 and levels.count(1) == 1
    assert browser.ask("[...document.querySelectorAll('svg')].every(s => s.getAttribute('aria-label').length > 20)")
