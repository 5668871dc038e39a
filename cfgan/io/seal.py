"""A JSON object that covers itself: its last key holds the sha256 of all the others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

KEY = "seal"


def sealed(value: Mapping[str, Any]) -> dict[str, Any]:
    """The object with its seal; an older seal is replaced."""
    bare = unsealed(value)
    return {**bare, KEY: _digest(bare)}


def unsealed(value: Mapping[str, Any]) -> dict[str, Any]:
    """The object without its seal."""
    return {key: item for key, item in value.items() if key != KEY}


def is_sealed(value: Mapping[str, Any]) -> bool:
    """Whether an object has a seal; one of an older version has none."""
    return KEY in value


def check_seal(value: Mapping[str, Any]) -> None:
    """Raise ValueError if a sealed object was changed since."""
    if is_sealed(value) and value[KEY] != _digest(unsealed(value)):
        raise ValueError("it was changed after it was written")


def _digest(bare: Mapping[str, Any]) -> str:
    text = json.dumps(bare, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()
