"""The pages by their HTML: the keyboard reaches every control, each has a name, and nothing comes from outside."""

from __future__ import annotations

import base64
import importlib.util
import io
from html.parser import HTMLParser
from typing import Any

import pytest
from fastapi.testclient import TestClient
from framing_helpers import Dots, dotted
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from cfgan.data.framing.faces import Framer
from cfgan.errors import ConfigError
from cfgan.serve.app import create_app
from cfgan.serve.limits import Limits

pytestmark = pytest.mark.slow

_VOID = {"meta", "link", "input", "img", "br"}


class Page(HTMLParser):
    """Every element as (tag, attributes, tags and ids of what holds it)."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[tuple[str, dict[str, str]]] = []
        self.found: list[tuple[str, dict[str, str], list[str]]] = []
        self.text: list[tuple[str, str]] = []  # the tag around, and the words
        self.feed(text)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {key: value or "" for key, value in attributes}
        assert len(given) == len(attributes), f"{tag}: an attribute twice"
        self.found.append((tag, given, [name for name, _ in self.open]))
        if tag not in _VOID:
            self.open.append((tag, given))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1][0] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.text.append((self.open[-1][0] if self.open else "", data.strip()))

    def all(self, *tags: str) -> list[dict[str, str]]:
        return [given for tag, given, _ in self.found if tag in tags]


@pytest.fixture(params=["/?n=2&Red=yes", "/?more=Rde", "/walk?Red=yes", "/photo", "photo sent", "/shown", "/nothing"])
def page(request: pytest.FixtureRequest, client: TestClient) -> Page:
    if request.param == "photo sent":
        return Page(client.post("/photo", files={"photo": picture()}, data={"frame": "none"}).text)
    return Page(client.get(request.param, headers={"accept": "text/html"}).text)


def picture(size: tuple[int, int] = (40, 30)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, "red").save(buffer, "PNG")
    return buffer.getvalue()


def test_every_control_has_a_name_and_the_keyboard_reaches_it(page: Page) -> None:
    names = [words for tag, words in page.text if tag in ("label", "legend", "button", "option", "summary", "a")]
    for tag, given, around in page.found:
        if tag in ("input", "select"):
            assert "label" in around, f"{tag} {given} has no label"
            assert given.get("type") != "radio" or "fieldset" in around, f"{given} is in no group"
        assert int(given.get("tabindex", "0")) <= 0, "an order of its own"
        assert not [key for key in given if key.startswith("on")] and "style" not in given, given
        for key in ("aria-describedby", "aria-labelledby"):
            assert not given.get(key) or any(other.get("id") == given[key] for _, other, _ in page.found), given
        if given.get("class") == "scroll":
            assert given["tabindex"] == "0" and given["aria-label"], "out of the keyboard's reach"
    assert len(page.all("fieldset")) == sum(tag == "legend" for tag, _ in page.text)
    assert len(page.all("button")) == sum(tag == "button" for tag, _ in page.text)
    assert page.all("a") and all(names)
    ids = [given["id"] for _, given, _ in page.found if "id" in given]
    assert len(ids) == len(set(ids)), "an id twice"


def test_the_page_is_whole_for_those_who_do_not_see_it(page: Page) -> None:
    assert page.all("html") == [{"lang": "en"}] and len(page.all("main")) == 1 and len(page.all("title")) == 1
    assert all(given["alt"] for given in page.all("img"))
    levels = [int(tag[1]) for tag, _, _ in page.found if tag in ("h1", "h2", "h3")]
    assert levels[0] == 1 and levels.count(1) == 1 and all(b - a <= 1 for a, b in zip(levels, levels[1:], strict=False))
    assert all("scope" in given for given in page.all("th"))
    skip = page.all("a")[0]["href"]
    assert any(given.get("id") == skip[1:] and given["tabindex"] == "-1" for _, given, _ in page.found), skip


def test_nothing_comes_from_outside_and_nothing_runs(page: Page) -> None:
    assert not page.all("script", "iframe", "object", "embed", "style", "base")
    for _, given, _ in page.found:
        for key in ("src", "href", "action"):
            assert given.get(key, "/").startswith(("/", "#", "data:image/png;base64,")), given
            assert not given.get(key, "").startswith("//"), given


def sent(client: TestClient, photo: bytes, **fields: str) -> Any:
    return client.post("/photo", files={"photo": ("me.png", photo)}, data=fields)


def test_a_photo_is_read_by_verifier_and_judge_and_shown_as_they_see_it(client: TestClient) -> None:
    answer = sent(client, picture(), frame="center")
    page = Page(answer.text)
    assert answer.status_code == 200
    rows = [given for given in page.all("th") if given.get("scope") == "row"]
    assert len(rows) == 6 and [w for t, w in page.text if t == "th"][1:3] == ["Verifier", "Judge"]
    read = client.post("/v1/verify", content=picture(), headers={"content-type": "image/png"}).json()["attributes"]
    cells = [words for tag, words in page.text if tag == "td"]
    assert cells[0] == f"{read['Red']['probability']:.2f}" and cells[1] == f"{read['Red']['threshold']:.2f}"
    assert cells[2] == ("yes" if read["Red"]["seen"] else "no")
    assert "none is a person" not in answer.text, "it is one"


def test_the_face_of_a_photo_is_found_and_aligned(client: TestClient) -> None:
    client.app.state.faces._framer = Framer(Dots())
    buffer = io.BytesIO()
    dotted((400, 300), [(200, 150, 1.0, 10)]).save(buffer, "PNG")
    answer = sent(client, buffer.getvalue(), frame="align")
    assert answer.status_code == 200 and "38 pixels between the eyes" in answer.text
    answer = sent(client, picture(), frame="align")
    assert answer.status_code == 422 and "no face was found" in answer.text


def test_a_photo_is_drawn_again_and_changed_as_asked(client: TestClient) -> None:
    answer = sent(client, picture(), frame="center", project="yes", change1="-Red", change2="", change3="Cat")
    assert answer.status_code == 200
    page = Page(answer.text)
    shown = [given["alt"] for given in page.all("img")]
    assert shown[1:4] == ["The photo, drawn again", "With -Red", "With Cat"]
    assert answer.text.count("says the judge") == 2
    assert "The person is lost" in answer.text or "was not measured" in answer.text, "these are no faces"
    chosen = [given["value"] for given in page.all("option") if "selected" in given]
    assert [*filter(None, chosen)] == ["-Red", "Cat"]
    pngs = [base64.b64decode(given["src"].partition(",")[2]) for given in page.all("img")]
    marks = [PngImageFile(io.BytesIO(png)).text for png in pngs]
    assert "projection of a photo" in str(marks[1]) and not marks[0], "what is drawn says so, a photo does not"
    plain = sent(client, picture(), frame="center", change1="Red").text
    assert "drawn again" not in plain, "only where it is asked for"


def test_an_edit_that_cannot_be_and_a_missing_extra_are_said(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = sent(client, picture(), frame="center", project="yes", change1="Rde")
    assert answer.status_code == 422 and "Red" in answer.text
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "torch" else find(name))
    answer = sent(client, picture(), frame="center", project="yes")
    assert answer.status_code == 422 and "cfgan[train]" in answer.text
    assert 'name="project" value="yes" checked disabled' in " ".join(answer.text.split())


def test_without_the_extra_the_page_says_so(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise ConfigError("finding faces needs the extra: pip install 'cfgan[identity]'.")

    monkeypatch.setattr("cfgan.serve.photo.Framer", missing)
    page = client.get("/photo").text
    assert "cfgan[identity]" in page and 'value="align" disabled' in page and 'value="center" checked' in page
    assert sent(client, picture(), frame="align").status_code == 422
    assert sent(client, picture(), frame="center").status_code == 200


@pytest.mark.parametrize(
    ("photo", "fields", "said"),
    [
        (b"", {}, "choose a photo"),
        (b"GIF89a", {"frame": "none"}, "GIF"),
        (picture()[:50], {"frame": "none"}, "photo"),
        (picture(), {"frame": "middle"}, "there is no framing"),
        (picture(), {"bundle": "tinny"}, "tiny"),
    ],
)
def test_what_is_wrong_with_a_photo_is_said(
    client: TestClient, photo: bytes, fields: dict[str, str], said: str
) -> None:
    answer = sent(client, photo, **fields)
    assert answer.status_code == 422 and said in answer.text


def test_a_photo_reaches_neither_disk_nor_log(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_disk(*_: object, **__: object) -> None:
        pytest.fail("a photo goes to the disk")

    monkeypatch.setattr("tempfile.SpooledTemporaryFile.rollover", no_disk)
    photo = picture() + bytes(3 << 20)  # what follows a PNG is not read
    app = create_app(client.app.state.models, limits=Limits(body=4 << 20))
    caplog.set_level("DEBUG")
    answer = sent(TestClient(app, base_url="http://localhost"), photo, frame="none")
    assert answer.status_code == 200 and "me.png" not in answer.text
    # The test's own client logs what it asks for.
    assert not [r for r in caplog.records if r.name.startswith(("cfgan", "fastapi", "starlette", "uvicorn"))]
