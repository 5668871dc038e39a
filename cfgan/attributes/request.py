"""Requests: the attributes that a person asks for, such as ``Male,Smiling,-Wearing_Hat`` or ``Smiling=0.5``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from cfgan.attributes.vocabulary import Vocabulary
from cfgan.errors import RequestError

Request = dict[str, float]
"""Canonical attribute name -> value in -1..1; names not in it are free."""

ANY = "any"
"""The request for any face."""

_ITEM = re.compile(r"(?P<sign>[+\-!~]?)\s*(?P<name>[^=]+?)\s*(?:=\s*(?P<value>[^=]+))?")


def parse_request(text: str, vocabulary: Vocabulary, *, field: str = "attrs") -> Request:
    """Parse ``"Male, Smiling=0.5, -Wearing_Hat"``.

    Commas, semicolons or new lines separate; ``-`` or ``!`` or ``~`` before a name means unwanted, ``+`` or nothing
    wanted; ``=`` gives a value between -1 and 1. ``any`` asks for nothing, unless an attribute is called so.

    Returns:
        Canonical names and values, in the order given.

    Raises:
        RequestError: empty items, a value out of range, an attribute asked for twice with different values.
        VocabularyError: an unknown attribute; carries the nearest names.
    """
    request: Request = {}
    if text.strip().casefold() == ANY and all(name.casefold() != ANY for name in vocabulary.names):
        return request
    for item in re.split(r"[,;\n]", text):
        if not item.strip():
            if text.strip():
                raise RequestError(f"{text.strip()!r} has an empty item.", field=field, value=text)
            continue
        match = _ITEM.fullmatch(item.strip())
        if match is None:
            raise RequestError(f"{item.strip()!r} is not an attribute.", field=field, value=item)
        value = 1.0
        if match["value"] is not None:
            value = _value(match["value"], match["name"], field)
        if match["sign"] in ("-", "!", "~"):
            value = -value
        _add(request, vocabulary.canonical(match["name"], field=field), value, field)
    return request


def request_from(value: Any, vocabulary: Vocabulary, *, field: str = "attributes") -> Request:
    """A request from a string, a list of strings, or a mapping name -> true / false / number.

    Raises:
        RequestError, VocabularyError: as :func:`parse_request`.
    """
    if isinstance(value, str):
        return parse_request(value, vocabulary, field=field)
    request: Request = {}
    if isinstance(value, Mapping):
        for name, amount in value.items():
            if isinstance(amount, bool):
                amount = 1.0 if amount else -1.0
            _add(request, vocabulary.canonical(str(name), field=field), _value(amount, str(name), field), field)
        return request
    if isinstance(value, list):
        for item in value:
            if not isinstance(item, str):
                raise RequestError(f"{item!r} is not a valid attribute name.", field=field, value=item)
            for name, amount in parse_request(item, vocabulary, field=field).items():
                _add(request, name, amount, field)
        return request
    raise RequestError(f"{value!r} is neither text, a list nor a mapping of attributes.", field=field, value=value)


def format_request(request: Mapping[str, float]) -> str:
    """The shortest text that :func:`parse_request` reads back to the same request."""

    def item(name: str, value: float) -> str:
        return name if value == 1 else f"-{name}" if value == -1 else f"{name}={value!r}"

    return ",".join(item(name, value) for name, value in request.items())


def _value(value: Any, name: str, field: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise RequestError(f"{name}={value} is not a number between -1 and 1.", field=field, value=value) from None
    if not -1 <= number <= 1:
        raise RequestError(
            f"{name}={value} is not between -1 and 1.", field=field, value=value, nearest=[-1 if number < 0 else 1]
        )
    return number


def _add(request: Request, name: str, value: float, field: str) -> None:
    if request.get(name, value) != value:
        raise RequestError(f"{name} is asked for twice with different values.", field=field, value=name)
    request[name] = value
