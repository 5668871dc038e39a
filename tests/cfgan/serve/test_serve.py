from __future__ import annotations

import base64
import io
import json
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from cfgan.attributes.spec import make_plan
from cfgan.errors import BundleError
from cfgan.generate.batch_check import check_batch
from cfgan.serve.app import create_app
from cfgan.serve.limits import Limits
from cfgan.serve.v1 import zipped
from cfgan.serve.walk import walk
from cfgan.serve.work import BusyError, Drawing, Served, Turns


def test_faces_come_as_lines_and_are_those_of_the_library(client: TestClient, served: Served) -> None:
    import cfgan

    answer = client.post("/v1/generate", json={"attributes": "Red,-Cat", "count": 3, "seed": 4})
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("application/x-ndjson")
    *faces, last = [json.loads(line) for line in answer.text.splitlines()]
    same = cfgan.load(served.bundle.path, device="cpu").generate("Red,-Cat", count=3, seed=4)
    assert [base64.b64decode(face["png"]) for face in faces] == [face.png for face in same]
    assert faces[0]["requested"] == {"Red": 1.0, "Cat": -1.0} and 0 <= faces[0]["probability"]["Dog"] <= 1
    assert last["summary"]["complete"] and last["summary"]["bundle"]["digest"] == served.bundle.digest


def test_a_zip_is_a_batch_folder(client: TestClient, tmp_path: Path) -> None:
    for answer in (
        client.post("/v1/generate?form=zip", json={"attributes": "Red", "count": 2}),
        client.get("/batch.zip?Red=yes&n=2"),
    ):
        zipfile.ZipFile(io.BytesIO(answer.content)).extractall(tmp_path / "batch")
        assert check_batch(tmp_path / "batch") == []


def test_the_page_shows_faces_and_keeps_the_request_in_its_address(client: TestClient) -> None:
    page = client.get("/?Red=yes&Cat=no&n=3&seed=5&more=Round=0.5").text
    assert page.count("data:image/png;base64,") == 3 and "3 of 3 faces" in page
    assert 'name="Red" value="yes" checked' in page and 'name="Cat" value="no" checked' in page
    assert 'value="Round=0.5"' in page and "/batch.zip?Red=yes&amp;Cat=no&amp;n=3" in page and "seed: 5" in page
    answer = client.get("/walk?Red=yes&attribute=Striped&draw=2")
    walk = answer.text
    assert answer.status_code == 200, walk[walk.find("alert") :][:300]
    assert walk.count("data:image/png;base64,") == 9 and "What else changes" in walk and "judge" in walk


def test_what_is_wrong_is_said_beside_the_form_and_as_a_problem(client: TestClient) -> None:
    page = client.get("/?more=Rde&n=2")
    assert page.status_code == 422 and "Did you mean Red" in page.text and 'role="alert"' in page.text
    assert "<script" not in client.get("/?more=%3Cscript%3E&n=2").text
    for sent, field, text in (
        ({"attributes": "Rde"}, "spec", "Did you mean Red"),
        ({"attributes": "Cat,Dog", "count": 2}, None, "exclude"),
        ({"count": 9}, "count", "more than one request may ask for"),
        ({"counts": 2}, "spec", "Did you mean count"),
    ):
        answer = client.post("/v1/generate", json=sent)
        assert answer.status_code == 422 and answer.headers["content-type"] == "application/problem+json"
        assert text in answer.json()["detail"] and (field is None or field in answer.json()["field"])
    assert client.get("/v1/attributes?bundle=tinny").json()["nearest"] == ["tiny"]
    assert client.get("/nothing").json()["status"] == 404


def test_an_image_is_read_and_what_is_none_is_refused(client: TestClient) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(buffer, "PNG")
    headers = {"content-type": "image/png"}
    found = client.post("/v1/verify?by=judge&attrs=Red", content=buffer.getvalue(), headers=headers).json()
    assert set(found["attributes"]) == {"Red"} and found["meets"] in (True, False)
    for data in (b"", b"GIF89a", buffer.getvalue()[:60]):
        answer = client.post("/v1/verify", content=data, headers=headers)
        assert answer.status_code == 422, data
    assert client.post("/v1/verify", content=b"x" * 30_000, headers=headers).status_code == 413


def test_other_hosts_are_refused_and_every_answer_forbids_what_is_outside(client: TestClient) -> None:
    assert client.get("/", headers={"host": "evil.example"}).status_code == 400
    for path in ("/?n=1", "/style.css", "/nothing", "/v1/bundles"):
        policy = client.get(path).headers["content-security-policy"]
        assert "default-src 'none'" in policy and "script-src" not in policy
    page = client.get("/?n=1").text
    assert "http://" not in page and "https://" not in page and "<script" not in page


def test_a_full_queue_sends_away_and_nobody_keeps_a_turn(served: Served) -> None:
    turns, inside, leave = Turns(0), threading.Event(), threading.Event()

    def work() -> None:
        with turns.taken():
            inside.set()
            leave.wait(20)

    thread = threading.Thread(target=work)
    thread.start()
    assert inside.wait(20)
    with pytest.raises(BusyError), turns.taken():
        pass
    leave.set()
    thread.join()
    with turns.taken():
        pass
    app = create_app({"tiny": served}, limits=Limits(waiting=0))
    client = TestClient(app, base_url="http://localhost")
    with app.state.turns.taken():
        answer = client.post("/v1/generate", json={"attributes": "Red", "count": 1})
        assert answer.status_code == 429 and answer.headers["retry-after"]
        assert client.get("/?n=1").status_code == 429
    assert client.get("/?n=1").status_code == 200


def test_a_request_that_takes_too_long_ends_with_what_it_has(served: Served) -> None:
    app = create_app({"tiny": served}, limits=Limits(seconds=0.0))
    spec = {"attributes": "Red", "count": 200, "verify": {"threshold": 0.999}}
    answer = TestClient(app, base_url="http://localhost").post("/v1/generate", json=spec)
    summary = json.loads(answer.text.splitlines()[-1])["summary"]
    assert summary["timed_out"] and not summary["complete"] and summary["draws"] < 5000


def test_who_goes_away_gives_the_turn_back(served: Served) -> None:
    import asyncio

    app = create_app({"tiny": served}, limits=Limits(faces=10_000, draws=100_000, waiting=0))
    sent = threading.Event()

    async def go_away() -> None:
        body = json.dumps({"attributes": "Red", "count": 10_000}).encode()
        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> dict[str, object]:
            if messages:
                return messages.pop(0)
            while not sent.is_set():
                await asyncio.sleep(0.01)
            return {"type": "http.disconnect"}

        async def send(message: dict[str, object]) -> None:
            if message["type"] == "http.response.body":
                sent.set()

        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "POST",
            "path": "/v1/generate",
            "raw_path": b"/v1/generate",
            "query_string": b"",
            "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
            "scheme": "http",
            "server": ("localhost", 80),
            "client": ("localhost", 1),
        }
        await app(scope, receive, send)

    asyncio.run(asyncio.wait_for(go_away(), 30))
    with app.state.turns.taken():
        pass


def test_who_does_not_read_keeps_nobody_waiting(served: Served) -> None:
    app = create_app({"tiny": served}, limits=Limits(waiting=0))
    drawing = Drawing(served, make_plan("Red", served.bundle.vocabulary, {"count": 4}), Limits())
    with drawing.begun(app.state.turns):  # and nobody takes the faces
        for _ in range(200):
            if TestClient(app, base_url="http://localhost").get("/?n=1").status_code == 200:
                break
            time.sleep(0.05)
        else:
            pytest.fail("the turn is kept")
        assert len(list(drawing)) == 4


def test_a_zip_ends_in_time_with_what_it_has(served: Served, tmp_path: Path) -> None:
    plan = make_plan("Red", served.bundle.vocabulary, {"count": 200, "verify": {"threshold": 0.999}})
    zipfile.ZipFile(io.BytesIO(zipped(served, plan, seconds=0.0))).extractall(tmp_path / "batch")
    assert check_batch(tmp_path / "batch") == []
    assert json.loads((tmp_path / "batch" / "batch.json").read_text())["draws"] < 5000


def test_a_model_that_fails_is_logged_and_named_to_nobody(
    served: Served, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise BundleError("/secret/place is damaged")

    monkeypatch.setattr("cfgan.serve.work.fill_cell", fail)
    client = TestClient(create_app({"tiny": served}), base_url="http://localhost")
    page, lines = client.get("/?n=1").text, client.post("/v1/generate", json={"count": 1}).text
    assert "The model failed on the way" in page and "Draws ran out" not in page
    assert json.loads(lines)["error"] and "secret" not in page + lines and caplog.text.count("/secret/place") == 2


@pytest.mark.parametrize(("attribute", "place"), [("Red", -1), ("Striped", 0)])
def test_a_walk_shows_the_person_that_the_page_showed(
    client: TestClient, served: Served, attribute: str, place: int
) -> None:
    """Also where the attribute that changes is one that was asked for: latent and other attributes stay."""
    spec = {"attributes": "Red,-Striped", "count": 1, "seed": 3}
    line = json.loads(client.post("/v1/generate", json=spec).text.splitlines()[0])
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(line["png"]))), dtype=int)
    cell = make_plan(spec, served.bundle.vocabulary, latents=served.bundle.latents).cells[0]
    strip = walk(served, cell, line["draw"], attribute)
    assert np.abs(np.asarray(Image.open(io.BytesIO(strip.faces[place])), dtype=int) - shown).max() <= 1
