"""A headless Chromium for tests of pages, driven by the DevTools protocol over a pipe: no dependency, no open port."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    # No name resolves: whatever a page asked the network for would fail, and be seen. A server on this machine answers.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--remote-debugging-pipe",
)
_KEYS = {"Tab": 9, "Enter": 13, "ArrowRight": 39}
_COMPLAINTS = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")


def find_browser() -> str | None:
    """Path of a Chromium, or None."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


class Page:
    """One tab. ``events`` holds what the browser reported: console messages, exceptions, requests."""

    def __init__(self, send: int, receive: int) -> None:
        self._send, self._receive, self._buffer, self._id, self._session = send, receive, b"", 0, None
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command of the protocol, and its result."""
        self._id += 1
        message = {"id": self._id, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._send, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next(60)
            if answer.get("id") == self._id:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    def _next(self, seconds: float) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._receive], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, "the browser does not answer"
            part = os.read(self._receive, 1 << 16)
            assert part, "the browser has ended"
            self._buffer += part
        line, self._buffer = self._buffer.split(b"\0", 1)
        message: dict[str, Any] = json.loads(line)
        if "method" in message:
            self.events.append(message)
        return message

    def open(
        self, place: Path | str, *, width: int, height: int = 900, scheme: str = "light", mobile: bool = False
    ) -> None:
        """Load a file or an address at a width in CSS pixels, with a colour scheme, and wait until it is there."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.events.clear()
        self.call("Page.navigate", url=_address(place))
        self.wait()

    def wait(self) -> None:
        """Until a page is there, since the last time that events were cleared."""
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self._next(120)

    def open_whole(self, path: Path, *, width: int, scheme: str) -> list[str]:
        """Open a page that needs no network, complains of nothing and fits; the addresses it asked for.

        What is wider than the page scrolls in a box of its own, which the keyboard reaches.
        """
        self.open(path, width=width, scheme=scheme, mobile=width < 500)
        asked = self.asked_for()
        assert asked == [_address(path)], asked
        self.fits(width)
        return asked

    def asked_for(self) -> list[str]:
        """The addresses that were asked for since events were cleared, without those that are data."""
        asked = [event["params"]["request"]["url"] for event in self.events if event["method"].endswith("WillBeSent")]
        return [url for url in asked if not url.startswith("data:")]

    def fits(self, width: int, *, status: int = 200) -> None:
        """Nothing was complained of but an answer's status, and what is wider than the page scrolls in a box that the
        keyboard reaches."""
        complaints = [event for event in self.events if event["method"] in _COMPLAINTS]
        if status != 200:
            said = [event for event in complaints if f"status of {status}" in str(event)]
            assert len(said) == 1, f"{status} was not answered"
            complaints.remove(said[0])
        assert complaints == [], complaints
        found = self.ask("document.documentElement.scrollWidth")
        assert found <= width, f"{found} px wide in a window of {width} px"
        reached = "[...document.querySelectorAll('.scroll')].every(e => e.tabIndex === 0 && e.ariaLabel)"
        assert self.ask(reached), "a box that scrolls is out of the keyboard's reach, or has no name"

    def press(self, key: str) -> None:
        """Press a key: Tab, Enter, ArrowRight."""
        about = {"key": key, "code": key, "windowsVirtualKeyCode": _KEYS[key]}
        text = {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **about, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    def write(self, text: str) -> None:
        """Put text where the focus is, in place of what is selected there."""
        self.call("Input.insertText", text=text)

    def choose_file(self, selector: str, file: Path) -> None:
        """Give a file to the form's field."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(file.resolve())])

    def focus_is_seen(self) -> bool:
        """Whether what has the focus shows it, by an outline."""
        outline = "getComputedStyle(document.activeElement)"
        return bool(self.ask(f"(s => s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0)({outline})"))

    def worst_contrast(self) -> tuple[float, str]:
        """The least contrast between letters, those of plots too, and what is behind them (WCAG 2.2), and where."""
        ratio, where = self.ask("""(() => {
            const light = c => { const [r, g, b] = c.map(v => v / 255).map(v => v <= .04045 ? v / 12.92 :
                ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b };
            const parse = text => { const n = text.match(/[\\d.]+/g).map(Number);
                return n.length < 4 || n[3] ? n : null };
            const behind = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
                if (c) return c.slice(0, 3) } return [255, 255, 255] };
            let worst = [99, ''];
            for (const e of document.querySelectorAll('body *')) {
                if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
                const style = getComputedStyle(e), colour = parse(e.closest('svg') ? style.fill : style.color);
                if (!colour) continue;
                const [a, b] = [light(colour.slice(0, 3)), light(behind(e))].sort((x, y) => y - x);
                const contrast = (a + .05) / (b + .05);
                if (contrast < worst[0]) worst = [contrast, e.tagName + ' ' + e.textContent.slice(0, 40)];
            }
            return worst })()""")
        return float(ratio), str(where)

    def sticking_out(self) -> list[str]:
        """Tag and class of what ends right of the window, boxes that scroll and plots left aside."""
        outside = """[...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll, svg') &&
            e.getBoundingClientRect().right > innerWidth + 1).map(e => e.tagName + ' ' + e.className)"""
        found: list[str] = self.ask(outside)
        return found

    def lost_links(self) -> int:
        """How many links lead to no part of the page."""
        lost = "[...document.links].filter(a => !document.getElementById(decodeURIComponent(a.hash.slice(1)))).length"
        found: int = self.ask(lost)
        return found

    def heading_levels(self) -> list[int]:
        """1 to 4 of every heading, in the order of the page."""
        levels: list[int] = self.ask("[...document.querySelectorAll('h1, h2, h3, h4')].map(h => +h.tagName[1])")
        return levels

    def plots_are_described(self) -> bool:
        """Whether every plot has a sentence for those who do not see it."""
        described = "[...document.querySelectorAll('svg')].every(s => s.getAttribute('aria-label').length > 20)"
        return bool(self.ask(described))

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression on the page."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def screenshot(self, file: Path, *, top: int = 0, height: int | None = None, width: int | None = None) -> None:
        """Save the page, or a part of it, as PNG."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": top, "width": width or size["width"], "height": height or size["height"] - top, "scale": 1}
        shot = self.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(shot["data"]))


def _address(place: Path | str) -> str:
    return place.resolve().as_uri() if isinstance(place, Path) else place


@contextlib.contextmanager
def open_browser(program: str) -> Iterator[Page]:
    """Start a browser with an empty profile; it is ended with the block."""
    to_read, to_send = os.pipe()
    to_receive, to_write = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        # The protocol wants descriptors 3 and 4.
        script = f'exec "$@" 3<&{to_read} 4>&{to_write}'
        command = ["bash", "-c", script, "browser", program, *_OPTIONS, f"--user-data-dir={profile}"]
        process = subprocess.Popen(
            command, pass_fds=(to_read, to_write), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(to_read)
        os.close(to_write)
        try:
            yield Page(to_send, to_receive)
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(20)
            os.close(to_send)
            os.close(to_receive)
