"""How far a job has come: one form for everything that takes long."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called now and then while a job lasts, and at its end. What it raises ends the job."""

    def __call__(self, stage: str, done: int, total: int, remark: str = "", /) -> None:
        """``done`` of ``total`` steps of ``stage`` are over; ``remark`` says more, such as a loss."""
        ...


def silent(stage: str, done: int, total: int, remark: str = "") -> None:
    """Nobody watches."""


def named(progress: Progress, stage: str) -> Progress:
    """The same progress, with whatever happens inside shown as one stage."""

    def show(inner: str, done: int, total: int, remark: str = "") -> None:
        progress(stage, done, total, remark)

    return show


def within(progress: Progress, *, before: str = "", after: str = "") -> Progress:
    """The same progress, with words set before and after the name of each stage."""

    def show(stage: str, done: int, total: int, remark: str = "") -> None:
        progress(f"{before}{stage}{after}", done, total, remark)

    return show
