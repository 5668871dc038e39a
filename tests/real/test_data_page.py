"""The page of ``cfgan data stats`` in a real browser: nothing is fetched, nothing overflows."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser import Page
from data_helpers import plant

from cfgan.data.source import open_source
from cfgan.data.sources.base import Options
from cfgan.reports.data.page import data_files
from cfgan.reports.data.report import build_data_report
from cfgan.reports.folder import replace_report

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a drawn data set with something of everything, one name of which is long."""
    tmp = tmp_path_factory.mktemp("page")
    planted = plant(tmp)
    text = planted.labels.read_text().replace("Loud", "A_" + "W" * 60, 1)
    planted.labels.write_text(text)
    report = build_data_report(open_source(planted.folder, Options(labels=planted.labels, identity=planted.identity)))
    replace_report(tmp / "report", data_files(report))
    return tmp / "report" / "report.html"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [380, 1100])
def test_it_opens_from_disk_whole_and_fits(browser: Page, page: Path, width: int, scheme: str) -> None:
    browser.open_whole(page, width=width, scheme=scheme)
    assert browser.ask(
        "[...document.images].every(i => i.complete && i.naturalWidth > 0) && document.images.length > 6"
    )
    assert browser.ask("document.links.length") > 6 and browser.lost_links() == 0
    levels = browser.heading_levels()
    assert levels[0] == 1 and levels.count(1) == 1
    assert browser.plots_are_described()
