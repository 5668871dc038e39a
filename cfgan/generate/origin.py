"""Whether the spec of a batch is given to the model that made the batch: only that one makes the same faces."""

from __future__ import annotations

from pathlib import Path

from cfgan.io.files import read_json_object
from cfgan.model.bundle import Bundle


def other_origin(spec: Path, bundle: Bundle) -> str | None:
    """A sentence where a spec lies in a batch that another bundle made; None where it does not, or nothing says.

    Args:
        spec: the file, such as ``men/spec.yaml``.
        bundle: that is to draw.
    """
    try:
        made_by = read_json_object(spec.parent / "batch.json")["header"]["bundle"]
        name, digest = str(made_by["name"]), str(made_by["digest"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if digest == bundle.digest:
        return None
    if name == bundle.name:
        return f"{spec} lies in a batch of another {name}, {digest[:12]}; {bundle.digest[:12]} makes other faces of it."
    other = f"{spec} lies in a batch of {name}, and {bundle.name} makes other faces of it"
    return f"{other}; --bundle {name} makes the same."
