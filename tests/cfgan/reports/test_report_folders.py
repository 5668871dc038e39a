"""Folders that a report is made of, and the folder that it becomes."""

from __future__ import annotations

import csv
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from report_helpers import Make, check_all_or_nothing, report_on, sign_again

from cfgan.errors import FolderError, InputError
from cfgan.model.bundle import Bundle
from cfgan.reports.batch.page import render_page
from cfgan.reports.folder import check_out, write_report

pytestmark = pytest.mark.slow

# Folders that are not what they say


def test_a_changed_face_damns_the_folder_and_nothing_is_measured(bundle: Bundle, make: Make, tmp_path: Path) -> None:
    folder = shutil.copytree(make("good", attributes="Red,-Striped", count=70), tmp_path / "changed")
    (folder / "images" / "000007.png").write_bytes((folder / "images" / "000008.png").read_bytes())
    (folder / "notes.txt").write_text("put here by the post office")
    report = report_on(folder, bundle=bundle)
    assert report.data["verdict"] == "fails" and "is not what it says it is" in report.data["headline"]
    batch = report.data["batches"][0]
    assert "images/000007.png: changed" in batch["problems"] and batch["cells"] == []
    assert len(batch["notes"]) == 1 and "notes.txt" in batch["notes"][0]
    assert "Damaged or changed" in render_page(report)


@pytest.mark.usefixtures("honest")
def test_a_face_exchanged_with_care_is_found_by_drawing_again(bundle: Bundle, make: Make, tmp_path: Path) -> None:
    folder = shutil.copytree(make("good", attributes="Red,-Striped", count=70), tmp_path / "careful")
    for k in (7, 9):
        (folder / "images" / f"{k:06d}.png").write_bytes((folder / "images" / "000008.png").read_bytes())
    sign_again(folder)
    data = report_on(folder, bundle=bundle).data
    assert data["verdict"] == "fails" and data["batches"][0]["twins"] == 2
    assert "2 of 70 faces are not what the model it names draws from their seeds" in data["reasons"][0]
    assert data["batches"][0]["redrawn"]["largest_difference"] > 2


@pytest.mark.usefixtures("honest")
def test_faces_kept_or_dropped_by_hand_show(bundle: Bundle, make: Make, tmp_path: Path) -> None:
    """The gate's decisions, run again, are those of the batch; a batch that says it drew more often differs."""
    folder = shutil.copytree(make("good", attributes="Red,-Striped", count=70), tmp_path / "chosen")
    about = json.loads((folder / "batch.json").read_text())
    about["cells"][0]["tally"]["next_draw"] *= 3
    (folder / "batch.json").write_text(json.dumps(about))
    sign_again(folder)
    data = report_on(folder, bundle=bundle).data
    assert data["verdict"] == "fails" and "the gate decides otherwise" in data["reasons"][0]


def test_malformed_batches_are_damage_not_tracebacks(bundle: Bundle, make: Make, tmp_path: Path) -> None:
    source = make("few", attributes="Red", count=5)
    about = json.loads((source / "batch.json").read_text())

    def changed(**parts: Any) -> dict[str, Any]:
        return {**about, **parts}

    cells, header = about["cells"], about["header"]
    wild = [
        changed(cells=[]),
        changed(cells=[{**cells[0], "tally": {**cells[0]["tally"], "next_draw": 1}}]),
        changed(cells=[{**cells[0], "tally": {**cells[0]["tally"], "passed": {"Red": 10**9}}}]),
        changed(cells=[{**cells[0], "tally": {"no": 1}}]),
        changed(wanted="many"),
        changed(thresholds={}),
        changed(header={**header, "spec": ["?"]}),
        changed(header={**header, "spec": {**header["spec"], "seed": 9}}),
        changed(header={**header, "bundle": {"name": "x", "digest": "y"}}),
    ]
    folders = []
    for k, value in enumerate(wild):
        folder = shutil.copytree(source, tmp_path / str(k))
        (folder / "batch.json").write_text(json.dumps(value))
        sign_again(folder)
        folders.append(folder)
    report = report_on(*folders, bundle=bundle)
    assert report.data["verdict"] == "fails" and all(batch["problems"] for batch in report.data["batches"])
    with pytest.raises(FolderError, match="not a batch folder"):
        report_on(tmp_path, bundle=bundle)
    with pytest.raises(InputError, match="twice"):
        report_on(source, source, bundle=bundle)


# Pages and folders


class Page(HTMLParser):
    """Tags, ids and whatever might fetch something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.heads: list[dict[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = dict(attrs)
        self.links += [str(values[key]) for key in ("src", "href", "xlink:href", "action", "data") if key in values]
        if "id" in values:
            self.ids.append(str(values["id"]))
        if tag == "img":
            self.images.append(values)
        if tag == "th":
            self.heads.append(values)


@pytest.mark.usefixtures("honest")
def test_the_page_is_inert_whole_and_the_same_each_time(bundle: Bundle, make: Make, tmp_path: Path) -> None:
    requests = [
        {"name": "<script>alert(1)</script>", "attributes": "Red"},
        {"name": '=cmd|"/c calc"!A1', "attributes": "-Red,Cat"},
    ]
    folder = make("odd & <b>names", requests=requests, count=12, description="</pre><img src=x onerror=alert(2)>")
    out = tmp_path / "report"
    files = write_report(out, report_on(folder, bundle=bundle))
    assert sorted(files) == sorted(path.name for path in out.iterdir())
    text = (out / "report.html").read_text()
    page = Page(text)
    assert not {"script", "iframe", "object", "link", "b!"} & set(page.tags) and "onerror" not in page.tags
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text and "<script>alert" not in text and "<img src=x" not in text
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in page.links), "nothing is fetched"
    assert set(re.findall(r"https?://[^\"<\s]+", text)) == set() and "default-src 'none'" in text
    assert len(page.ids) == len(set(page.ids)) and {link[1:] for link in page.links if link[:1] == "#"} <= set(page.ids)
    assert page.images and all(image["alt"] and image["width"] for image in page.images)
    assert all(head.get("scope") for head in page.heads) and '<html lang="en">' in text
    assert str(tmp_path) not in text and str(folder.parent) not in (out / "report.json").read_text()
    with (out / "cells.csv").open() as handle:
        cells = list(csv.DictReader(handle))
    assert [cell["name"][:5] for cell in cells] == ["<scri", "'=cmd"], "no spreadsheet takes it for a formula"
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    write_report(out, report_on(folder, bundle=bundle))
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.usefixtures("honest")
def test_the_tables_say_what_the_json_says(bundle: Bundle, make: Make, tmp_path: Path) -> None:
    folder = make("good", attributes="Red,-Striped", count=70)
    report = report_on(folder, bundle=bundle)
    write_report(tmp_path / "r", report)
    tables = {}
    for path in (tmp_path / "r").glob("*.csv"):
        with path.open() as handle:
            tables[path.stem] = list(csv.DictReader(handle))
    assert set(tables) == {"cells", "attributes", "faces", "side_effects", "agreement", "calibration"}
    red = report.data["batches"][0]["cells"][0]["attributes"][0]["readers"]["judge"]
    (row,) = [r for r in tables["attributes"] if (r["attribute"], r["reader"]) == ("Red", "judge")]
    assert float(row["unfiltered"]) == red["unfiltered"]["rate"] and int(row["real.n"]) == red["real"]["n"]
    assert len(tables["faces"]) == 70 and {"judge.Red", "verifier.Striped"} <= tables["faces"][0].keys()
    assert json.loads((tmp_path / "r" / "report.json").read_text()) == report.data


def test_all_of_a_report_is_written_or_nothing(
    bundle: Bundle, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = report_on(make("few", attributes="Red", count=5), bundle=bundle)
    out = tmp_path / "r"
    check_all_or_nothing(lambda folder: write_report(folder, report), out, monkeypatch)
    (out / "mine.txt").write_text("not a part of the report")
    with pytest.raises(FolderError, match="something else"):
        check_out(out)
    with pytest.raises(FolderError, match=r"something else: mine\.txt"):
        check_out(out)
    batch = make("few", attributes="Red", count=5)
    with pytest.raises(InputError, match="lies inside .*, a batch"):
        check_out(batch / "report")
    with pytest.raises(FolderError, match="something else"):
        check_out(batch)
