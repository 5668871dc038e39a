"""The hook that keeps everything that a rich console shows from steering the terminal; loaded with rich, when it is."""

from __future__ import annotations

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.segment import Segment

from cfgan_cli.printable import printable


class Cleaner(RenderHook):
    """Cleans the text of whatever is rendered, tables too; styles are rich's own and stay."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Clean(each) for each in renderables]


class _Clean:
    def __init__(self, inner: ConsoleRenderable) -> None:
        self._inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for piece in console.render(self._inner, options):
            yield piece if piece.control else Segment(printable(piece.text), piece.style)
