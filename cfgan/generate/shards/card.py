"""The card of a folder of shards, as the Hugging Face Hub reads it: licence, files, counts and gates."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cfgan.generate.shards.formats import FORMATS
from cfgan.generate.shards.workers import ShardJob
from cfgan.model.bundle import open_bundle
from cfgan.verify.gate import gate_of

_MILLION = 10**6


def dataset_card(job: ShardJob, header: Mapping[str, Any], about: Mapping[str, Any]) -> str:
    """Markdown with the Hub's YAML before it (https://huggingface.co/docs/hub/datasets-cards)."""
    bundle, form = open_bundle(job.bundle), FORMATS[job.kind]
    licence = str(bundle.config.get("licence", ""))
    front = {
        "pretty_name": f"Generated images of {bundle.name}",
        "license": "other",
        "license_name": licence,
        "tags": ["synthetic", *(["face-generation"] if bundle.config.get("faces", True) else [])],
        "size_categories": [_size(int(about["accepted"]))],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": f"*.{form.ending}"}]}],
    }
    # JSON is YAML, and says the same with any version of a YAML library.
    lines = ["---", *(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in front.items()), "---", ""]
    lines += [f"# {about['accepted']:,} generated images", ""]
    made = f"cfgan {header['cfgan']} with the bundle {bundle.name} ({bundle.digest[:12]})"
    lines += [f"Made by {made}; no person is shown.", ""]
    lines += [f"{form.title[0].upper()}{form.title[1:]}; index.json lists every file with its sha256.", ""]
    lines += ["| request | images | draws | accepted if the verifier gives |", "|---|--:|--:|---|"]
    for cell, figures in zip(job.plan.cells, about["cells"], strict=True):
        gates = gate_of(bundle, cell).thresholds if cell.verify.enabled else {}
        gate = ", ".join(f"{name} {value:.2f}" for name, value in gates.items()) or "nothing was rejected"
        name = cell.name.replace("|", "\\|")
        lines.append(f"| {name} | {figures['accepted']:,} | {figures['draws']:,} | {gate} |")
    return "\n".join([*lines, "", f"Licence: {licence}", ""])


def _size(images: int) -> str:
    """The Hub's word for a number of rows."""
    for least, word in ((_MILLION, "1M<n<10M"), (10**5, "100K<n<1M"), (10**4, "10K<n<100K"), (1000, "1K<n<10K")):
        if images >= least:
            return word
    return "n<1K"
