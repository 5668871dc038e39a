"""Bundles on the Hugging Face Hub, against a server on this machine that answers as the Hub does."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

import cfgan
from cfgan.errors import BundleError, InputError
from cfgan.model import hub
from cfgan.model.bundle import Bundle, open_bundle
from cfgan_cli.app import app

pytest.importorskip("huggingface_hub")

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """One repository, owner/tiny, with a branch and a commit."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []


class Answer(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append(path)
        start = f"/owner/tiny/resolve/{COMMIT}/"
        if path in (f"/api/models/owner/tiny/revision/{name}" for name in ("main", COMMIT)):
            siblings = [{"rfilename": name} for name in self.server.files]
            about = {"id": "owner/tiny", "modelId": "owner/tiny", "sha": COMMIT, "siblings": siblings, "tags": []}
            self._send(200, json.dumps(about).encode(), {"Content-Type": "application/json"})
        elif path.startswith("/api/models/owner/tiny/revision/"):
            self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        elif path.startswith(start) and (data := self.server.files.get(path.removeprefix(start))) is not None:
            self._send(200, data, {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": COMMIT})
        elif path.startswith(start):
            self._send(404, b"{}", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        else:
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def _send(self, code: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server(tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with Hub() as server:
        server.files = {path.name: path.read_bytes() for path in tiny_bundle.path.iterdir()}
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
        monkeypatch.setenv("CFGAN_CACHE", str(tmp_path / "cache"))
        # Whoever loaded the library first, with whatever in the environment: this server may be asked.
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))  # seconds until it looks whether to stop
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.slow
def test_an_address_opens_the_same_bundle(server: Hub, tiny_bundle: Bundle) -> None:
    model = cfgan.load("owner/tiny@main")
    assert model.digest == tiny_bundle.digest and model.bundle.path.name == COMMIT
    assert (
        model.generate("Red", count=2, seed=1)[0].png
        == cfgan.load(tiny_bundle.path).generate("Red", count=2, seed=1)[0].png
    )
    before = len(server.asked)
    assert open_bundle(f"owner/tiny@{COMMIT}").digest == tiny_bundle.digest
    assert len(server.asked) == before, "a commit that is in the cache was asked for again"
    listed = json.loads(CliRunner().invoke(app, ["bundle", "list", "--json"]).stdout)
    assert (f"owner/tiny@{COMMIT}", tiny_bundle.digest) in [(row["name"], row["digest"]) for row in listed]


@pytest.mark.slow
def test_pull_writes_a_folder_and_leaves_others_alone(server: Hub, tiny_bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    told = CliRunner().invoke(app, ["bundle", "pull", "owner/tiny@main", "--out", str(out)])
    assert told.exit_code == 0 and tiny_bundle.digest in told.stdout.replace("\n", "")
    assert {path.name: path.read_bytes() for path in out.iterdir()} == server.files
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    refused = CliRunner().invoke(app, ["bundle", "pull", "owner/tiny@main", "--out", str(tmp_path / "other")])
    assert refused.exit_code == 2 and "thesis.txt" in refused.stderr


@pytest.mark.parametrize(
    ("address", "word"),
    [
        ("owner/tiny@nosuch", "no such revision"),
        ("owner/none@main", "no such repository"),
        ("owner/tiny", "no folder and no shipped bundle"),
        ("../tiny@main", "no folder and no shipped bundle"),
    ],
)
def test_what_is_not_there_is_said(server: Hub, address: str, word: str) -> None:
    with pytest.raises(InputError, match=word):
        open_bundle(address)


def test_nothing_odd_comes_in(server: Hub, tiny_bundle: Bundle, tmp_path: Path) -> None:
    sound = dict(server.files)
    server.files["manifest.json"] = json.dumps({"sha256": {"../evil.json": "0" * 64}}).encode()
    with pytest.raises(InputError, match="which no bundle has"):
        open_bundle("owner/tiny@main")
    server.files["manifest.json"] = json.dumps({"sha256": {"weights.pkl": "0" * 64}}).encode()
    with pytest.raises(InputError, match=r"weights\.pkl"):
        open_bundle("owner/tiny@main")
    server.files = {"README.md": b"another model"}
    with pytest.raises(InputError, match="not a bundle of cfgan"):
        open_bundle("owner/tiny@main")
    assert not hub.fetched()
    server.files = {**sound, "verifier.safetensors": sound["verifier.safetensors"][:-1] + b"\0"}
    changed = open_bundle("owner/tiny@main")
    with pytest.raises(BundleError):
        changed.verify()


def test_no_answer_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("CFGAN_CACHE", str(tmp_path))
    with pytest.raises(InputError, match=r"owner/tiny@main: "):
        open_bundle("owner/tiny@main")


def test_push_uploads_the_bundles_files_and_no_others(
    tiny_bundle: Bundle, own_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, dict[str, Any]]] = []

    class Api:
        def __init__(self, **_: Any) -> None: ...

        def create_repo(self, repo: str, **given: Any) -> None:
            calls.append((repo, given))

        def upload_folder(self, **given: Any) -> Any:
            calls.append(("upload", given))
            return SimpleNamespace(oid=COMMIT)

    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    told = CliRunner().invoke(app, ["bundle", "push", str(own_bundle), "owner/tiny"])
    assert told.exit_code == 0 and f"owner/tiny@{COMMIT}" in told.stdout
    assert calls[0] == ("owner/tiny", {"private": True, "exist_ok": True})
    assert sorted(calls[1][1]["allow_patterns"]) == sorted([*tiny_bundle.sums, "manifest.json"])
    refused = CliRunner().invoke(app, ["bundle", "push", str(own_bundle), "tiny"])
    assert refused.exit_code == 2 and "owner/name" in refused.stderr
