"""``cfgan.connect``: a served model is used as a local one, and gives the same."""

from __future__ import annotations

import http.server
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from serve_helpers import serving

import cfgan
from cfgan.model.bundle import Bundle
from cfgan.serve.limits import Limits


@pytest.fixture(scope="module")
def model(tiny_bundle: Bundle) -> cfgan.Model:
    return cfgan.load(tiny_bundle.path, device="cpu")


@pytest.fixture(scope="module")
def url(model: cfgan.Model) -> Iterator[str]:
    with serving(model, limits=Limits(faces=64, draws=2000, body=100_000)) as url:
        yield url


@pytest.mark.slow
def test_faces_are_those_of_the_local_model(model: cfgan.Model, url: str) -> None:
    remote = cfgan.connect(url + "/")
    assert (remote.name, remote.digest, remote.size) == (model.name, model.digest, model.size)
    assert remote.attributes == model.attributes
    for settings in (
        {"request": "Red,-Cat", "count": 6, "seed": 5},
        {"request": {"Red": True, "Round": 0.5}, "count": 9, "unspecified": "Striped", "verify": False},
        {"spec": {"requests": ["Red", "any"], "seed": 3}, "count": 5},
        {"request": "Red", "vary": ["Cat"], "count": 8, "truncation": 0.7},
    ):
        there, here = remote.generate(**settings), model.generate(**settings)
        assert type(there) is type(here) and there.complete and there.draws == here.draws
        for a, b in zip(there, here, strict=True):
            assert (a.png, a.file, a.draw, a.seed, a.requested) == (b.png, b.file, b.draw, b.seed, b.requested)
            assert a.condition == b.condition and a.probability == b.probability
        pd.testing.assert_frame_equal(there.to_pandas(), here.to_pandas())


def test_readings_are_those_of_the_local_model(model: cfgan.Model, url: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    for name in ("a", "b"):
        Image.fromarray(rng.integers(0, 255, (20, 30, 3), dtype=np.uint8)).save(tmp_path / f"{name}.png")
    (tmp_path / "broken.png").write_bytes(b"nothing")
    (tmp_path / "large.bmp").write_bytes(bytes(200_000))
    remote, seen = cfgan.connect(url), []
    for request in (None, "Red,-Dog"):
        there = remote.verify(tmp_path, request, progress=lambda stage, done, total, remark="": seen.append(done))
        here = model.verify(tmp_path, request)
        assert there.files == here.files and set(there.failed) == {"broken.png", "large.bmp"}
        assert there.failed["broken.png"] == here.failed["broken.png"]
        np.testing.assert_allclose(there.probability, here.probability, atol=2e-6)
        assert (there.seen == here.seen).all() and list(there.to_pandas()) == list(here.to_pandas())
        assert (there.meets is None) == (request is None) and seen[-4:] == [1, 2, 3, 4]


def test_what_is_wrong_is_an_error_of_the_library(url: str, tmp_path: Path) -> None:
    remote = cfgan.connect(url)
    with pytest.raises(cfgan.VocabularyError, match="Did you mean Red"):
        remote.generate("Redd")
    with pytest.raises(cfgan.RequestError, match=r"^count: 65 faces are more.*Did you mean 64\?$") as caught:
        remote.generate("Red", count=65)
    assert (caught.value.field, caught.value.value, caught.value.nearest) == ("count", "65", ("64",))
    with pytest.raises(cfgan.RequestError, match="exclude"):
        remote.generate("Cat,Dog", count=2)
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    with pytest.raises(cfgan.InputError, match="no judge"):
        remote.verify(tmp_path, by="judge")
    with pytest.raises(cfgan.VocabularyError, match="Did you mean Red"):
        remote.verify(tmp_path, "Redd")
    with pytest.raises(cfgan.InputError, match="Did you mean tiny"):
        cfgan.connect(url, "tinny")
    with pytest.raises(cfgan.InputError, match="not the address"):
        cfgan.connect("localhost:8000")


def test_what_is_rare_or_missing_is_said(url: str) -> None:
    with pytest.warns(cfgan.CfganWarning, match=r"draws ran out: \d+ of 50 faces") as warned:
        faces = cfgan.connect(url).generate("Red,Striped", count=50, max_draws=20)
    assert not faces.complete and faces.draws == 20
    assert warned[-1].filename == __file__, "the warning points at the caller"


def test_a_server_that_is_none_or_breaks_off_is_a_clear_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(cfgan.CfganError, match="does not answer"):
        cfgan.connect(f"http://127.0.0.1:{port}")
    asked: list[str] = []
    answers = {
        "/v1/bundles": (200, b"<html>"),
        "/moved/v1/bundles": (302, b""),
        "/odd/v1/bundles": (200, b'[{"name": 1}]'),
    }

    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            status, body = answers[self.path]
            self.send_response(status)
            self.send_header("Location", "/v1/bundles")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Other) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))  # seconds until it looks whether to stop
        thread.start()
        base = f"http://127.0.0.1:{server.server_port}"
        for path, said in (("", "as cfgan serve does"), ("/moved", "status 302"), ("/odd", "as cfgan serve does")):
            with pytest.raises(cfgan.CfganError, match=said):
                cfgan.connect(base + path)
        server.shutdown()
        thread.join()
    assert asked == ["/v1/bundles", "/moved/v1/bundles", "/odd/v1/bundles"], "a redirection is not followed"


def test_a_proxy_is_not_asked_for_this_machine(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert cfgan.connect(url).name == "tiny"


@pytest.mark.slow
def test_neither_an_engine_nor_torch_is_loaded(url: str) -> None:
    code = (
        f"import sys, cfgan\nassert len(cfgan.connect({url!r}).generate('Red', count=2)) == 2\n"
        "assert not {'torch', 'onnxruntime', 'fastapi', 'pandas'} & set(sys.modules), 'a client is not light'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_images_in_shards_are_read_as_by_the_local_model(model: cfgan.Model, url: str, tmp_path: Path) -> None:
    cfgan.write_shards(model, "Red", out=tmp_path / "s", count=6)
    here, there = model.verify(tmp_path / "s"), cfgan.connect(url).verify(tmp_path / "s")
    assert len(there) == len(here) == 6
    pd.testing.assert_frame_equal(there.to_pandas(), here.to_pandas(), atol=1e-4)
