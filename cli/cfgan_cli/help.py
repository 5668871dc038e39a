"""Help texts that say all they have to say, however narrow the terminal; errors of usage that repeat little."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, cast

from typer import BadParameter
from typer.core import TyperCommand, TyperGroup

_UsageError = cast("type[Exception]", BadParameter.__bases__[0])  # of whichever click typer stands on
_LONGEST = 300  # characters of such an error: what was typed may be a whole file by mistake


class Group(TyperGroup):
    """A group of commands that lists each with its whole first paragraph instead of what fits on a line."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        for command in self.commands.values():
            if command.short_help is None and command.help:
                command.short_help = " ".join(command.help.partition("\n\n")[0].split())
        super().format_commands(ctx, formatter)

    def make_context(self, *args: Any, **extra: Any) -> Any:
        with _short_errors():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: Any) -> Any:
        with _short_errors():
            return super().invoke(ctx)


@contextlib.contextmanager
def _short_errors() -> Iterator[None]:
    try:
        yield
    except _UsageError as error:
        text = str(vars(error).get("message", ""))
        if len(text) > _LONGEST:
            vars(error)["message"] = f"{text[:_LONGEST]}..."
        raise


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
