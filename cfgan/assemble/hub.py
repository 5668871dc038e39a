"""The head of a model card as the Hugging Face Hub reads it: licence, tags, data, and the headline figures.

Its format: https://huggingface.co/docs/hub/model-cards. Figures stand there as the card has them, so that whoever
compares models finds them without reading.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cfgan.io.yaml import dump_yaml

_TAGS = ("conditional-gan", "dcgan", "attribute-control", "synthetic-data")


def card_head(config: Mapping[str, Any]) -> str:
    """The YAML block that a card begins with.

    Args:
        config: content of ``config.json``.
    """
    faces = bool(config.get("faces", True))
    head: dict[str, Any] = {
        "license": "other",
        "license_name": str(config["licence"]),
        "library_name": "cfgan",
        "pipeline_tag": "unconditional-image-generation",
        "tags": [*(["face-generation"] if faces else []), *_TAGS],
    }
    if metrics := list(_metrics(config)):
        task = {"type": "unconditional-image-generation", "name": "Attribute-controlled image generation"}
        data = {"type": "custom", "name": str(config["data"]).partition(", ")[0].partition(" (")[0]}
        head["model-index"] = [
            {"name": str(config["name"]), "results": [{"task": task, "dataset": data, "metrics": metrics}]}
        ]
    return f"---\n{dump_yaml(head)}---\n"


def _metrics(config: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The headline figures, of unfiltered draws."""
    evaluation = config.get("evaluation") or {}
    realism = evaluation.get("realism") or {}
    for name, row in (realism.get("networks") or {}).items():
        if row.get("in_training"):
            continue
        yield {"type": "kid", "name": f"KID x 1000 over {name}", "value": round(1000 * row["kid"], 2)}
        if row.get("probe_auc") is not None:
            title = f"AUC of a linear probe, real against drawn, over {name}"
            yield {"type": "auc", "name": title, "value": round(row["probe_auc"], 3)}
    if found := realism.get("faces"):
        share = round(100 * found["faces"] / found["n"], 1)
        yield {"type": "detection-rate", "name": f"draws in which {found['name']} finds a face, %", "value": share}
    for role, figures in (evaluation.get("accuracy") or {}).items():
        title = f"agreement with the request by the {role}, %"
        yield {"type": "accuracy", "name": title, "value": round(100 * figures["prior"]["agreement"], 1)}
