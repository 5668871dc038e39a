"""Errors in the words of whoever gets them: a parameter of a function here, an option on the command line."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from cfgan.errors import InputError

_P = ParamSpec("_P")
_R = TypeVar("_R")


def in_python(**others: str) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """A function whose InputErrors name its parameters: ``--by`` becomes ``by``.

    Args:
        others: option without dashes, ``_`` between its words -> parameter, where that is called otherwise.
    """

    def decorated(function: Callable[_P, _R]) -> Callable[_P, _R]:
        @functools.wraps(function)
        def called(*given: _P.args, **named: _P.kwargs) -> _R:
            try:
                return function(*given, **named)
            except InputError as error:
                if error.field is None or not (error.field.startswith("--") or error.field.isupper()):
                    raise
                option = error.field.removeprefix("--").replace("-", "_").lower()
                raise error.of(others.get(option, option)) from None

        return called

    return decorated
