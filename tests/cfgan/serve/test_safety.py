"""What a server on this machine must withstand: other sites, large and slow bodies, a crowd, and nonsense."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send

from cfgan.serve.app import create_app
from cfgan.serve.limits import Limits
from cfgan.serve.safety import SafetyMiddleware
from cfgan.serve.work import Served

HTML = {"accept": "text/html"}


def test_every_answer_carries_the_headers(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    quiet = TestClient(client.app, base_url="http://localhost", raise_server_exceptions=False)
    answers = [
        client.get("/?n=1"),
        client.get("/?n=x"),
        client.get("/nothing"),
        client.get("/nothing", headers=HTML),
        client.get("/?bundle=none", headers=HTML),
        client.delete("/"),
        client.get("/", headers={"host": "evil.example"}),
        client.get("/style.css", headers={"origin": "http://evil.example"}),
        client.post("/v1/verify", content=b"x" * 30_000),
        client.get("/shown"),
    ]
    monkeypatch.setattr("cfgan.serve.v1.choose_columns", broken)
    answers.append(quiet.get("/v1/columns"))
    assert [a.status_code for a in answers] == [200, 422, 404, 404, 422, 405, 400, 403, 413, 200, 500]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "script-src" not in policy and "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff" and answer.headers["cache-control"] == "no-store"
    assert "ZeroDivision" not in answers[-1].text


def test_people_get_pages_and_programs_get_problems(client: TestClient) -> None:
    page = client.get("/walk?bundle=tinny", headers=HTML)
    assert page.status_code == 422 and page.text.startswith("<!doctype html>") and "tiny" in page.text
    for path in ("/v1/attributes?bundle=tinny", "/walk?bundle=tinny"):
        assert client.get(path).headers["content-type"] == "application/problem+json"
    assert client.get("/v1/columns?by=jugde").json()["field"] == "by", "a field of the API, not an option of a command"
    assert client.get("/v1/columns?by=jugde").json()["detail"].startswith("by: ")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "127.0.0.1:8000"}, 200),
        ({"host": "localhost"}, 200),
        ({"host": "[::1]:8000"}, 200),
        ({"host": "evil.example"}, 400),
        ({"host": "localhost.evil.example"}, 400),
        ({"host": "localhost@evil.example"}, 400),
        ({"host": ""}, 400),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://["}, 403),
        ({"origin": "http://localhost"}, 200),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}, 403),
        ({"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}, 200),
        ({"sec-fetch-site": "same-origin", "sec-fetch-mode": "no-cors"}, 200),
        ({"sec-fetch-site": "none", "sec-fetch-mode": "navigate"}, 200),
    ],
)
def test_only_this_site_and_followed_links_may_ask(client: TestClient, headers: dict[str, str], status: int) -> None:
    assert client.get("/v1/bundles", headers=headers).status_code == status


def test_a_form_of_another_site_is_refused(client: TestClient) -> None:
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert client.post("/photo", files={"photo": b"x"}, headers=headers).status_code == 403


def test_a_body_is_bounded_whatever_it_says_of_its_length(client: TestClient) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(30):
            yield b"x" * 1000

    form = {"content-type": "multipart/form-data; boundary=b"}
    for path, headers in (("/v1/verify", {"content-type": "image/png"}), ("/photo", form)):
        assert client.post(path, content=pieces(), headers=headers).status_code == 413, path
    spec = json.dumps({"attributes": "x" * 300_000})
    for content in (spec, iter([spec.encode()])):  # with and without its length
        answer = client.post("/v1/generate", content=content, headers={"content-type": "application/json"})
        assert answer.status_code == 413


def test_a_body_that_trickles_in_is_given_up() -> None:
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        from starlette.exceptions import HTTPException

        try:
            while (await receive())["more_body"]:
                pass
        except HTTPException as error:
            sent.append({"type": "status", "status": error.status_code})

    async def receive() -> Message:
        await anyio.sleep(0.05)
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {"type": "http", "path": "/photo", "method": "POST", "headers": []}
    anyio.run(SafetyMiddleware(app, body=1000, images=1000, seconds=0.2), scope, receive, send)
    assert sent == [{"type": "status", "status": 408}]


def test_a_long_list_is_refused_before_it_is_expanded(client: TestClient) -> None:
    for spec, text in (
        ({"requests": ["Red"] * 500}, "500 requests are more"),
        ({"extends": "/etc/passwd"}, "cannot extend a file"),
        ({"requests": []}, "empty"),
    ):
        answer = client.post("/v1/generate", json=spec)
        assert answer.status_code == 422 and text in answer.json()["detail"]


@pytest.mark.slow
def test_many_at_once_get_their_faces_or_are_sent_away(served: Served) -> None:
    limits = Limits(faces=8, draws=400, seconds=20, waiting=2)
    statuses: Counter[int] = Counter()
    with TestClient(create_app({"tiny": served}, limits=limits), base_url="http://localhost") as client:

        def ask(number: int) -> None:
            for turn in range(3):
                answer = [
                    lambda: client.get(f"/?Red=yes&n=2&seed={number}"),
                    lambda: client.post("/v1/generate", json={"attributes": "Red", "count": 2, "seed": number}),
                    lambda: client.get(f"/walk?Red=yes&seed={number}"),
                    lambda: client.post("/v1/generate?form=zip", json={"count": 1}),
                ][(number + turn) % 4]()
                statuses[answer.status_code] += 1
                if answer.status_code == 200 and "ndjson" in answer.headers["content-type"]:
                    assert json.loads(answer.text.splitlines()[-1])["summary"]["complete"]

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        assert set(statuses) <= {200, 429} and statuses[200] > 0 and statuses.total() == 60, statuses
        assert client.get("/?n=1").status_code == 200, "nobody kept a turn"
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("draw", "encode"))]


_TEXT = st.text(max_size=20) | st.sampled_from(["Red", "-Cat", "any", "Red=0.5", "yes", "-1", "0", "9" * 19, "nan"])
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=8,
)
_KEYS = ["attributes", "count", "seed", "unspecified", "vary", "verify", "truncation", "same_latents", "requests"]
_SPEC = st.dictionaries(st.sampled_from([*_KEYS, "name", "extends", "free"]), _JSON, max_size=5)
_NAMES = ["bundle", "more", "n", "seed", "truncation", "attribute", "draw", "Red", "Cat", "Dog", "form", "by", "crop"]
_QUERY = st.dictionaries(st.sampled_from([*_NAMES, "attrs"]), _TEXT, max_size=5)
_LIGHT = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def fuzzed(served: Served) -> Iterator[TestClient]:
    limits = Limits(faces=3, draws=40, seconds=5, body=20_000)
    with TestClient(create_app({"tiny": served}, limits=limits), base_url="http://localhost") as client:
        yield client


@pytest.mark.slow
@_LIGHT
@given(spec=_SPEC)
@example(spec={"attributes": "\ud800"})
@example(spec={"attributes": {"Red": float("nan")}})
@example(spec={"seed": 10**400})
def test_no_spec_breaks_the_server(fuzzed: TestClient, spec: dict[str, Any]) -> None:
    answer = fuzzed.post("/v1/generate", content=json.dumps(spec), headers={"content-type": "application/json"})
    assert answer.status_code in (200, 400, 422), answer.text
    if answer.status_code == 200:
        assert "summary" in json.loads(answer.text.splitlines()[-1])


@pytest.mark.slow
@_LIGHT
@given(path=st.sampled_from(["/", "/walk", "/batch.zip", "/v1/attributes", "/v1/columns", "/photo"]), query=_QUERY)
@example(path="/walk", query={"draw": "9" * 19})
@example(path="/walk", query={"Cat": "yes", "Dog": "yes"})
@example(path="/batch.zip", query={"n": "0"})
@example(path="/", query={"n": "٣", "seed": "²"})
def test_no_address_breaks_a_page(fuzzed: TestClient, path: str, query: dict[str, str]) -> None:
    answer = fuzzed.get(path, params=query)
    assert answer.status_code in (200, 422), answer.text
    assert "<script" not in answer.text


@pytest.mark.slow
@_LIGHT
@given(body=st.binary(max_size=200) | _JSON.map(lambda value: json.dumps(value).encode()), query=_QUERY, data=st.data())
def test_no_body_breaks_the_server(fuzzed: TestClient, body: bytes, query: dict[str, str], data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(["/v1/generate", "/v1/verify", "/photo"]))
    kinds = [
        "application/json",
        "image/png",
        "text/plain",
        "multipart/form-data",
        "multipart/form-data; boundary=b",
        "",
    ]
    kind = data.draw(st.sampled_from(kinds))
    answer = fuzzed.post(path, params=query, content=body, headers={"content-type": kind})
    assert answer.status_code in (200, 400, 422), answer.text


def test_the_openapi_lists_what_there_is(client: TestClient) -> None:
    paths = client.get("/v1/openapi.json").json()["paths"]
    assert set(paths) == {"/v1/bundles", "/v1/attributes", "/v1/columns", "/v1/generate", "/v1/verify"}
