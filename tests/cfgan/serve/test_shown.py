"""Folders that are shown: finished ones are listed, regular files in them are served, and there is no way out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from cfgan.errors import InputError
from cfgan.serve.app import create_app
from cfgan.serve.shown import open_inside
from cfgan.serve.work import Served


@pytest.fixture
def results(tmp_path: Path) -> Path:
    root = tmp_path / "results"
    files = {
        "men/batch.json": "{}",
        "men/contact_sheet.png": "png",
        "men/images/000000.png": "face",
        "men/.hidden": "secret",
        "men/.git/config": "secret",
        "a report/report.html": "<!doctype html><style>p{}</style><script>1</script>",
        "a report/report.json": "{}",
        "a report/odd.bin": "x",
        "set/pairs.csv": "a,b",
        "half/images/000000.png": "secret",
        "loose.txt": "secret",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "batch.json").write_text("secret")
    (root / "linked").symlink_to(tmp_path / "outside")
    (root / "men" / "link.txt").symlink_to(tmp_path / "outside" / "batch.json")
    (root / "men" / "folder").symlink_to(tmp_path / "outside")
    return root


@pytest.fixture
def client(served: Served, results: Path) -> TestClient:
    return TestClient(create_app({"tiny": served}, shown=[results, results / "men"]), base_url="http://localhost")


def test_finished_folders_are_listed_and_their_files_open(client: TestClient) -> None:
    page = client.get("/shown").text
    for link in (
        "/shown/0/men/batch.json",
        "/shown/0/a%20report/report.html",
        "/shown/0/set/pairs.csv",
        "/shown/1/batch.json",
    ):
        assert f'href="{link}"' in page and client.get(link).status_code == 200, link
    assert 'src="/shown/0/men/contact_sheet.png"' in page
    assert client.get("/shown/0/men/images/000000.png").content == b"face"
    for hidden in ("half", "linked", "loose", "hidden", "link.txt", ".git"):
        assert hidden not in page, hidden


def test_a_folder_that_is_gone_is_no_longer_listed(client: TestClient, results: Path) -> None:
    results.rename(results.parent / "elsewhere")
    page = client.get("/shown")
    assert page.status_code == 200 and "Nothing is shown here" in page.text
    assert client.get("/shown/1/batch.json").status_code == 404


def test_a_report_keeps_its_styles_and_runs_nothing(client: TestClient) -> None:
    for name, kind in (("report.html", "text/html"), ("report.json", "application/json"), ("odd.bin", "octet-stream")):
        answer = client.get(f"/shown/0/a%20report/{name}")
        policy = answer.headers["content-security-policy"]
        assert kind in answer.headers["content-type"] and answer.headers["x-content-type-options"] == "nosniff"
        assert "style-src 'unsafe-inline'" in policy and "script" not in policy and policy.endswith("sandbox")
    assert client.get("/shown/0/a%20report/odd.bin").headers["content-disposition"] == "attachment"


@pytest.mark.parametrize(
    "path",
    [
        "/shown/0/loose.txt",
        "/shown/0/half/images/000000.png",
        "/shown/0/linked/batch.json",
        "/shown/0/men/link.txt",
        "/shown/0/men/folder/batch.json",
        "/shown/0/men/.hidden",
        "/shown/0/men/.git/config",
        "/shown/0/men/../loose.txt",
        "/shown/0/men/%2e%2e/loose.txt",
        "/shown/0/men/..%2floose.txt",
        "/shown/0/men/..%5cloose.txt",
        "/shown/0/men//batch.json",
        "/shown/0/men%2f%2fbatch.json",
        "/shown/0/men/batch.json%00.png",
        "/shown/0/men/images",
        "/shown/0/men/images/",
        "/shown/0/men",
        "/shown/0/",
        "/shown/0//etc/passwd",
        "/shown/0/%2fetc%2fpasswd",
        "/shown/0/C:/batch.json",
        "/shown/2/batch.json",
        "/shown/-1/batch.json",
        "/shown/1/" + "a" * 5000,
        "/shown/1/" + "a/" * 3000 + "b",
    ],
)
def test_there_is_no_way_out(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404 and "secret" not in answer.text


def test_neither_a_pipe_nor_a_folder_made_a_link_meanwhile_is_opened(results: Path) -> None:
    os.mkfifo(results / "men" / "pipe")
    with pytest.raises(OSError):
        open_inside(results, "men/pipe")
    with open_inside(results, "men/images/000000.png") as handle:
        assert handle.read() == b"face"
    (results / "men" / "images").rename(results / "men" / "was")
    (results / "men" / "images").symlink_to(results / "men" / "was")
    with pytest.raises(OSError):
        open_inside(results, "men/images/000000.png")


def test_what_is_no_folder_is_refused_at_the_start(served: Served, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a folder"):
        create_app({"tiny": served}, shown=[tmp_path / "nothing"])
