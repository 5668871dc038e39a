"""Help texts that say all they have to say, however narrow the terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from typer.core import TyperCommand, TyperGroup


class Group(TyperGroup):
    """A group of commands that lists each with its whole first paragraph instead of what fits on a line."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        for command in self.commands.values():
            if command.short_help is None and command.help:
                command.short_help = " ".join(command.help.partition("\n\n")[0].split())
        super().format_commands(ctx, formatter)


def _extractors() -> str:
    from cfgan.evaluation.extractor_names import EXTRACTORS

    return ", ".join(EXTRACTORS)


def _formats() -> str:
    from cfgan.testsets.export.formats import FORMATS

    return ", ".join(f"{name} ({each.about})" for name, each in FORMATS.items())


_LISTS: dict[str, Callable[[], str]] = {"{extractors}": _extractors, "{formats}": _formats}


class Command(TyperCommand):
    """A command whose options name what a registry of the library holds: it is opened when help is asked for."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        for option in self.params:
            text = getattr(option, "help", None) or ""
            for mark, listed in _LISTS.items():
                if mark in text:
                    text = text.replace(mark, listed())
                    option.help = text  # type: ignore[attr-defined]
        super().format_options(ctx, formatter)
