"""The page of ``cfgan testset score`` in a real browser: nothing is fetched, nothing overflows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from browser import Page
from score_helpers import draw_pairs, make_set, score_pairs, simulate

from cfgan.reports.score.report import write_score_report
from cfgan.testsets.scores.scoring import Settings

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with every part of the page, and a stratum with a long name."""
    tmp = tmp_path_factory.mktemp("page")
    long = "Male,Eyeglasses,Mustache,-Smiling,Wearing_Hat,Bags_Under_Eyes"
    pairs = [replace(p, stratum=long if p.stratum == "Eyeglasses" else p.stratum) for p in draw_pairs(150)]
    opened = make_set(tmp / "set", pairs)
    scores = simulate(pairs, 0, weakness="Eyeglasses", by=1.5)
    data = score_pairs(opened, scores, Settings(threshold=2.5, resamples=100))
    write_score_report(tmp / "report", data)
    return tmp / "report" / "report.html"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [380, 1100])
def test_it_opens_from_disk_whole_and_fits(browser: Page, page: Path, width: int, scheme: str) -> None:
    asked = browser.open_whole(page, width=width, scheme=scheme)
    assert asked == [page.resolve().as_uri()]
    assert browser.sticking_out() == []
    assert browser.ask("document.links.length") >= 6 and browser.lost_links() == 0
    assert browser.ask("document.querySelectorAll('svg').length") == 3
