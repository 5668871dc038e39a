"""The pages of ``cfgan serve`` in a real browser: they are whole, they fit, and the keyboard is enough."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from browser import Page
from PIL import Image

from cfgan.attributes.spec import make_plan
from cfgan.generate.job import generate
from cfgan.model.bundle import open_bundle

pytestmark = pytest.mark.real

STATUS = {"impossible": 422, "nowhere": 404}
PAGES = {
    "explore": "/",
    "faces": "/?n=4&seed=3&Male=yes&Smiling=yes&Eyeglasses=no",
    "impossible": "/?n=4&more=Bald,Bangs",
    "walk": "/walk?attribute=Smiling&draw=2&seed=3&Male=yes",
    "photo": "/photo",
    "shown": "/shown",
    "nowhere": "/nowhere",
}


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A batch of six faces."""
    folder = tmp_path_factory.mktemp("serve") / "six"
    bundle = open_bundle("celeba64")
    plan = make_plan({"attributes": "-Smiling,-Eyeglasses", "count": 6}, bundle.vocabulary)
    generate(bundle, plan, folder, device="cpu")
    return folder


@pytest.fixture(scope="module")
def server(shown: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "cfgan", "serve", "--bundle", "celeba64", "--bundle", "celeba128", "--port", "0"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [*command, "--show", str(shown)], stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stderr is not None
            found = re.match(r"(http://127\.0\.0\.1:\d+)/", process.stderr.readline())
            assert found
            yield found[1]
        finally:
            process.send_signal(signal.SIGINT)
        left = process.stderr.read()
        assert process.wait(30) in (0, 130) and "Traceback" not in left, left


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1100])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole_and_fits(browser: Page, server: str, name: str, width: int, scheme: str) -> None:
    browser.open(server + PAGES[name], width=width, scheme=scheme, mobile=width < 500)
    browser.fits(width, status=STATUS.get(name, 200))
    assert browser.ask("document.links.length") > 3
    assert all(url.startswith(server + "/") for url in browser.asked_for()), browser.asked_for()
    assert browser.sticking_out() == [] and browser.ask("document.scripts.length") == 0
    assert browser.ask("[...document.images].every(i => i.loading == 'lazy' || i.naturalWidth > 0)")
    levels = browser.heading_levels()
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False))
    worst = browser.worst_contrast()
    assert worst[0] >= 4.5, worst


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_serious(browser: Page, server: str, name: str) -> None:
    """With CFGAN_AXE, the path of axe.min.js of the npm package axe-core."""
    if not (axe := os.environ.get("CFGAN_AXE")):
        pytest.skip("CFGAN_AXE is not set")
    for width, scheme in ((360, "dark"), (1100, "light")):
        browser.open(server + PAGES[name], width=width, scheme=scheme)
        browser.ask(Path(axe).read_text(encoding="utf-8") + "; true")
        found = browser.ask(
            "axe.run().then(r => r.violations.filter(v => ['serious', 'critical'].includes(v.impact))"
            ".map(v => [v.id, v.nodes.map(n => n.html)]))"
        )
        assert found == []


def tab(browser: Page) -> str:
    """Press Tab. Returns the name of what has the focus then, which has to be seen."""
    browser.press("Tab")
    assert browser.ask("document.activeElement !== document.body"), "the focus is lost"
    assert browser.focus_is_seen(), browser.ask("document.activeElement.outerHTML")
    return str(browser.ask("document.activeElement.name || ''"))


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("walk", {"attribute", "draw", "seed", "truncation", "more", "Male"}),
        ("photo", {"photo", "bundle", "frame", "project", "change1", "change2", "change3"}),
    ],
)
def test_the_keyboard_reaches_every_field_and_the_button(
    browser: Page, server: str, name: str, fields: set[str]
) -> None:
    browser.open(server + PAGES[name], width=900)
    reached: set[str] = set()
    for _ in range(60):
        reached.add(tab(browser))
        if browser.ask("document.activeElement.tagName === 'BUTTON'"):
            reached.add("button")
        if fields | {"button"} <= reached:
            break
    assert fields | {"button"} <= reached, fields - reached


def test_the_keyboard_alone_draws_faces_and_walks(browser: Page, server: str) -> None:
    browser.open(server, width=900)
    reached: list[str] = []
    for _ in range(80):
        reached.append(tab(browser))
        if browser.ask("document.activeElement.tagName === 'SUMMARY' && !document.activeElement.parentElement.open"):
            browser.press("Enter")
        if reached[-1] == "n":
            browser.write("3")  # a field that Tab enters is selected whole
        if reached[-1] == "Smiling":
            browser.press("ArrowRight")
            break
    assert {"bundle", "n", "seed", "truncation", "more", "Male", "Young"} <= set(reached), reached
    assert browser.ask("new FormData(document.forms[0]).get('Smiling')") == "yes"
    browser.events.clear()
    browser.press("Enter")
    browser.wait()
    asked = parse_qs(urlsplit(browser.ask("location.href")).query)
    assert asked["Smiling"] == ["yes"] and asked["n"] == ["3"], asked
    assert browser.ask("document.querySelectorAll('#faces figure').length") == 3
    assert "Smiling" in browser.ask("document.querySelector('pre').textContent")
    href = browser.ask("document.querySelector('a[download]').href")
    with urllib.request.urlopen(href) as answer:
        names = zipfile.ZipFile(io.BytesIO(answer.read())).namelist()
    assert sum(name.endswith(".png") and "images/" in name for name in names) == 3
    browser.ask("document.querySelector('#faces figure a').focus()")
    browser.events.clear()
    browser.press("Enter")
    browser.wait()
    assert browser.ask("location.pathname") == "/walk"
    assert browser.ask("document.querySelectorAll('#walk .strip img').length") >= 5


def test_a_photo_is_read_and_drawn_again(browser: Page, server: str, shown: Path) -> None:
    """A generated face in the place of a photo."""
    browser.open(server + "/photo", width=900)
    browser.choose_file("input[type=file]", next((shown / "images").rglob("*.png")))
    browser.ask("document.querySelector('input[name=frame][value=none]').click()")
    browser.ask("document.querySelector('input[name=project]').click()")
    browser.ask("document.querySelector('select[name=change1]').value = 'Eyeglasses'")
    browser.events.clear()
    browser.ask("document.querySelector('main form button').click()")
    browser.wait()
    browser.fits(900)
    words = browser.ask("document.querySelector('main').innerText")
    assert "identity distance" in words and re.search(r"Eyeglasses: (not )?shown as asked", words), words
    assert browser.ask("document.querySelectorAll('main table tbody tr').length") == 40
    assert browser.ask("[...document.images].every(i => i.naturalWidth > 0) && document.images.length") >= 4
    worst = browser.worst_contrast()
    assert worst[0] >= 4.5, worst
    assert all(url.startswith(server + "/") for url in browser.asked_for())


def test_pictures_of_the_pages(browser: Page, server: str, shown: Path, tmp_path: Path) -> None:
    """Those of docs/serve.md, with CFGAN_SCREENSHOTS, the folder where they belong."""
    if not (folder := os.environ.get("CFGAN_SCREENSHOTS")):
        pytest.skip("CFGAN_SCREENSHOTS is not set")
    browser.open(server + "/?bundle=celeba128&n=14&seed=3&Male=yes&Smiling=yes", width=900)
    browser.screenshot(tmp_path / "explore.png")
    browser.open(server + "/walk?bundle=celeba128&attribute=Smiling&draw=4&seed=1&Male=no", width=1100)
    top = browser.ask("document.querySelector('#walk').getBoundingClientRect().top + scrollY")
    browser.screenshot(tmp_path / "walk.png", top=int(top))
    browser.open(server + "/photo", width=900)
    browser.choose_file("input[type=file]", sorted((shown / "images").rglob("*.png"))[1])
    browser.ask("document.querySelector('select[name=bundle]').value = 'celeba128'")
    browser.ask("document.querySelector('input[name=frame][value=none]').click()")
    browser.ask("document.querySelector('input[name=project]').click()")
    for field, value in (("change1", "Smiling"), ("change2", "Eyeglasses")):
        browser.ask(f"document.querySelector('select[name={field}]').value = '{value}'")
    browser.events.clear()
    browser.ask("document.querySelector('main form button').click()")
    browser.wait()
    browser.screenshot(tmp_path / "photo.png", height=1100)
    for name in ("explore", "walk", "photo"):
        with Image.open(tmp_path / f"{name}.png") as image:
            image.convert("P", palette=Image.Palette.ADAPTIVE).save(Path(folder) / f"{name}.png", optimize=True)


def test_what_is_shown_opens(browser: Page, server: str) -> None:
    browser.open(server + "/shown", width=900)
    links = browser.ask("[...document.querySelectorAll('main li a')].map(a => a.href)")
    assert links
    for link in links:
        with urllib.request.urlopen(link) as answer:
            assert answer.status == 200 and answer.read()
