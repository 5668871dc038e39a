"""Reading small YAML or JSON texts from people: size-limited, no duplicate keys, no custom tags, clear errors."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from cfgan.errors import SpecError
from cfgan.io.reading import open_regular, reason

_DEEPEST = 100
_MARKS = re.compile(r"[\[\]{}]|(?:[-?:][ \t]+){2,}")

MAX_BYTES = 100_000
"""The largest text that is read; far above any real spec, far below what could hurt."""


def read_text_limited(path: Path, *, field: str = "spec") -> str:
    """Read a UTF-8 text of at most :data:`MAX_BYTES`.

    Raises:
        SpecError: missing, a folder, too large, or not UTF-8.
    """
    try:
        with open_regular(path) as handle:
            data = handle.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise SpecError(f"{path} is larger than {MAX_BYTES:,} bytes.", field=field, value=path)
        return data.decode("utf-8-sig")
    except FileNotFoundError:
        raise SpecError(f"there is no file {path}.", field=field, value=path) from None
    except UnicodeDecodeError as error:
        raise SpecError(f"{path} {reason(error)}.", field=field, value=path) from None
    except OSError as error:
        raise SpecError(f"{path} cannot be read ({error.strerror}).", field=field, value=path) from None


def parse_yaml(text: str, *, name: str, field: str = "spec") -> Any:
    """Parse YAML 1.2 (of which JSON is a part) into plain dicts, lists, strings and numbers.

    Raises:
        SpecError: not YAML, a duplicate key, a custom tag, an alias or too deep nesting; names line and column.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError
    from ruamel.yaml.events import AliasEvent

    def loader() -> YAML:
        yaml = YAML(typ="safe", pure=True)
        yaml.allow_duplicate_keys = False
        return yaml

    if _depth(text) > _DEEPEST:
        raise SpecError(f"{name}: brackets are nested more than {_DEEPEST} deep.", field=field, value=name)
    try:
        # An alias can make a short text expand without bound; no spec needs one.
        if "*" in text and any(isinstance(event, AliasEvent) for event in loader().parse(StringIO(text))):
            raise SpecError(f"{name}: YAML aliases are not allowed.", field=field, value=name)
        return loader().load(StringIO(text))
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        what = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise SpecError(f"{name}{where}: {what}.", field=field, value=name) from None
    except SpecError:
        raise
    except Exception as error:  # what the YAML library lets through from malformed scalars, such as `!!bool maybe`
        raise SpecError(f"{name}: cannot be read ({type(error).__name__}).", field=field, value=name) from None


def _depth(text: str) -> int:
    """How deep brackets and the dashes of nested lists go, quotes or not: parsing time grows with its square."""
    depth = deepest = 0
    for mark in _MARKS.findall(text):
        depth = max(0, depth + (1 if mark in "[{" else -1)) if len(mark) == 1 else depth
        deepest = max(deepest, depth, mark.count("-"))
    return deepest


def dump_yaml(value: Any) -> str:
    """Plain values as block-style YAML, keys in the given order."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.allow_unicode = True
    yaml.width = 110
    out = StringIO()
    yaml.dump(value, out)
    return out.getvalue()


def front_matter(values: Mapping[str, Any]) -> str:
    """The YAML block that a card for the Hugging Face Hub begins with, its line ends included.

    JSON is YAML, and says the same with any version of a YAML library.
    """
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in values.items()]
    return "".join(["---\n", *lines, "---\n"])
