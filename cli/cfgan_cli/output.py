"""What every command shares: data to stdout, messages to stderr, errors to exit codes.

Exit codes: 0 done; 1 something broke (a damaged bundle, a full disk); 2 the input is wrong; 3 draws ran out before all
faces were found; 130 stopped, and can be resumed.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import IO, TYPE_CHECKING, Annotated, Any, TextIO, cast

import typer

from cfgan.errors import CfganError, InputError, StoppedError
from cfgan.io.progress import Progress, silent
from cfgan_cli import stop
from cfgan_cli.printable import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar

    from cfgan.data.left_out import LeftOut

Force = Annotated[bool, typer.Option("--force", help="Replace the file at --out, whatever it is.")]
"""Of every command that writes a file which a person names; see :mod:`cfgan.io.outputs`."""

EXIT_FAILED, EXIT_INPUT, EXIT_SHORT = 1, 2, 3

_EXTRAS = {
    "torch": "train",
    "onnx": "train",
    "torchvision": "vision",
    "dlib": "identity",
    "fastapi": "serve",
    "uvicorn": "serve",
    "python_multipart": "serve",
}
"""Package -> the extra that brings it."""

_LONGEST = 4000  # characters of an error: ten bad files with a reason each fit
_PROBLEMS = 20  # shown


def console(*, stderr: bool = False) -> Console:
    """A rich console on stdout, or on stderr for messages; wide when not a terminal, so that lines stay whole."""
    from rich.console import Console

    from cfgan_cli.cleaner import Cleaner

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else 160
    made = Console(stderr=stderr, width=width, highlight=False)
    made.push_render_hook(Cleaner())
    return made


def message(text: str, *, style: str = "") -> None:
    """A line for a person, on stderr."""
    console(stderr=True).print(text, style=style, markup=False, soft_wrap=True)


def name_left_out(left_out: LeftOut, *kinds: str) -> None:
    """A warning for each kind of thing that was given and is not used."""
    for line in left_out.lines(*kinds):
        message(f"{line}.", style="yellow")


def print_json(value: Any) -> None:
    """One JSON object on stdout."""
    print_text(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")


def print_text(text: str) -> None:
    """A whole text on stdout, such as JSON or a model card, as it is but for what would steer a terminal."""
    sys.stdout.write(printable(text))
    sys.stdout.flush()


_SPEED_SECONDS = 300.0  # over which the time left is estimated: a step of a large network can take half a minute


class _Terminal(io.RawIOBase):
    """Bytes of UTF-8 text to stdout, whole characters in each piece; what would steer a terminal is shown instead."""

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        sys.stdout.write(printable(bytes(data).decode("utf-8", "replace")))
        return len(data)


def stdout_bytes() -> IO[bytes]:
    """Stdout for tables: as it is into a file or pipe, harmless on a terminal."""
    return cast("IO[bytes]", _Terminal()) if sys.stdout.isatty() else sys.stdout.buffer


@contextlib.contextmanager
def exit_codes() -> Iterator[None]:
    """Turn the library's errors into one message and an exit code, never a traceback; warnings into messages."""
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            yield
    except StoppedError as error:
        message(str(error)[:1].upper() + str(error)[1:], style="yellow")
        raise typer.Exit(stop.EXIT_STOPPED) from None
    except KeyboardInterrupt:
        message("Stopped.", style="yellow")
        raise typer.Exit(stop.EXIT_STOPPED) from None
    except BrokenPipeError:
        # The reader of our output went away (`| head`): nothing is wrong, and nothing more can be said.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - must outlive this block
        raise typer.Exit(0) from None
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        message(f"Error: this needs {error.name}: pip install 'cfgan[{extra}]'.", style="bold red")
        raise typer.Exit(EXIT_INPUT) from None
    except (CfganError, OSError, MemoryError) as error:
        if stop.asked():  # a library made its own error of the stop: nothing that it names is to blame
            raise stop.Stopped from error
        message(_sentence(error), style="bold red")
        raise typer.Exit(EXIT_INPUT if isinstance(error, InputError) else EXIT_FAILED) from None


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """As Python's own, without the line of code."""
    console(stderr=True).print(str(message)[:_LONGEST], style="yellow", markup=False, soft_wrap=True)


def _sentence(error: CfganError | OSError | MemoryError) -> str:
    if isinstance(error, MemoryError):
        return "Error: there is not enough memory."
    if isinstance(error, OSError):  # a path that cannot be read, or is too long: whatever the library did not foresee
        return f"Error: {error.filename or ''}: {error.strerror or error}".replace("Error: :", "Error:")
    text = str(error)
    return f"Error: {text if len(text) <= _LONGEST else text[:_LONGEST] + '...'}"


@contextlib.contextmanager
def progress_bar(*, quiet: bool, unit: str) -> Iterator[Progress]:
    """A progress bar on stderr, as the library's functions take it. Silent when quiet or not a terminal."""
    if quiet or not sys.stderr.isatty():
        yield silent
        return
    with _bar(unit) as bar:
        task = bar.add_task("", total=None, remark="")

        def update(stage: str, done: int, total: int, remark: str = "") -> None:
            if total:
                bar.update(task, description=stage, completed=done, total=total, remark=remark)

        yield update


def _bar(unit: str) -> Bar:
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    return Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TextColumn("{task.fields[remark]}"),
        TimeRemainingColumn(),
        console=console(stderr=True),
        transient=True,
        speed_estimate_period=_SPEED_SECONDS,
    )


def percent(value: float | None) -> str:
    """A share as "12.3 %", or a dash."""
    return "-" if value is None or value != value else f"{100 * value:.1f} %"


def show_problems(problems: Sequence[str]) -> None:
    """The first twenty on stderr, a line each, and how many more there are."""
    for problem in problems[:_PROBLEMS]:
        message(problem, style="red")
    if len(problems) > _PROBLEMS:
        message(f"and {len(problems) - _PROBLEMS:,} more", style="red")
