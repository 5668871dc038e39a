"""The page of ``cfgan report`` in a real browser: nothing is fetched, nothing overflows, everything is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from browser import Page
from report_helpers import judged_bundle

from cfgan.attributes.prior import Prior
from cfgan.attributes.spec import make_plan
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.generate.job import generate
from cfgan.model.bundle import open_bundle
from cfgan.reports.batch.report import build_report
from cfgan.reports.folder import write_report

pytestmark = pytest.mark.real


@pytest.fixture(scope="module", params=["shipped", "judged"])
def page(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, vocabulary: Vocabulary, prior: Prior
) -> Path:
    """A report on two batches, with long and hostile names: of the shipped bundle, and of a tiny one that has a judge
    and readings of real faces, so that every part of the page is there."""
    tmp = tmp_path_factory.mktemp("page")
    bundle = open_bundle()
    if request.param == "judged":
        bundle = judged_bundle(tmp, vocabulary, prior)
    first, second = bundle.vocabulary.names[3], bundle.vocabulary.names[0]
    names = ["<script>document.title = 'run'</script>", "W" * 80, "a name of many words, " * 3]
    wild = [{"name": name, "attributes": f"{first},-{second}", "count": 12} for name in names]
    specs: dict[str, dict[str, Any]] = {
        "wild": {"requests": [*wild, {"attributes": f"{first}=0.5", "count": 4}, {"count": 4}]},
        "two": {"vary": [first], "count": 40, "verify": {"max_draws": 24}},
    }
    for name, spec in specs.items():
        generate(bundle, make_plan(spec, bundle.vocabulary), tmp / name, device="cpu")
    report = build_report([tmp / name for name in specs], bundle, redraw=64, device="cpu")
    write_report(tmp / "report", report)
    if request.param == "judged":
        text = (tmp / "report" / "report.html").read_text()
        assert all(f'id="{part}"' in text for part in ("attributes", "requests", "effects", "readers", "origin"))
    return tmp / "report" / "report.html"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [380, 1100])
def test_it_opens_from_disk_whole_and_fits(browser: Page, page: Path, width: int, scheme: str) -> None:
    browser.open_whole(page, width=width, scheme=scheme)
    assert browser.ask("[...document.images].every(i => i.complete && i.naturalWidth > 0) && document.images.length")
    assert browser.ask("document.title") != "run" and browser.ask("document.scripts.length") == 0
    assert browser.sticking_out() == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_its_letters_stand_out_from_what_is_behind_them(browser: Page, page: Path, scheme: str) -> None:
    """Contrast of 4.5 at least (WCAG 2.2, AA), letters of the plots included."""
    browser.open(page, width=900, scheme=scheme)
    worst = browser.worst_contrast()
    assert worst[0] >= 4.5, worst


def test_every_link_leads_somewhere_and_headings_go_down_one_step_at_a_time(browser: Page, page: Path) -> None:
    browser.open(page, width=900)
    assert browser.ask("document.links.length") > 6 and browser.lost_links() == 0
    levels = browser.heading_levels()
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False))
    assert browser.plots_are_described()
