"""The card of a folder of shards, as the Hugging Face Hub reads it: licence, files, counts and gates."""

from __future__ import annotations

from cfgan.attributes.spec import Plan
from cfgan.generate.job import least_probability
from cfgan.generate.shards.formats import FORMATS
from cfgan.generate.summary import Totals
from cfgan.io.yaml import front_matter
from cfgan.model.bundle import Bundle
from cfgan.version import __version__

# The Hub's words for numbers of rows: https://huggingface.co/docs/hub/datasets-cards
_SIZES = (
    (10**9, "1B<n<10B"),
    (10**8, "100M<n<1B"),
    (10**7, "10M<n<100M"),
    (10**6, "1M<n<10M"),
    (10**5, "100K<n<1M"),
    (10**4, "10K<n<100K"),
    (1000, "1K<n<10K"),
)


def dataset_card(bundle: Bundle, plan: Plan, kind: str, made: Totals) -> str:
    """Markdown with the Hub's YAML before it (https://huggingface.co/docs/hub/datasets-cards)."""
    form = FORMATS[kind]
    licence = str(bundle.config.get("licence", ""))
    front = {
        "pretty_name": f"Generated images of {bundle.name}",
        "license": "other",
        "license_name": licence,
        "tags": ["synthetic", *(["face-generation"] if bundle.of_faces else [])],
        "size_categories": [_size(made.accepted)],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": f"*.{form.ending}"}]}],
    }
    by = f"cfgan {__version__} with the bundle {bundle.name} ({bundle.digest[:12]})"
    lines = [f"# {made.accepted:,} generated images", "", f"Made by {by}; no person is shown.", ""]
    lines += [f"{form.title[0].upper()}{form.title[1:]}; index.json lists every file with its sha256.", ""]
    lines += ["| request | images | draws | accepted if the verifier gives |", "|---|--:|--:|---|"]
    for cell, figures in zip(plan.cells, made.cells, strict=True):
        gates = least_probability(bundle, cell)
        wanted = ((name if cell.request.get(name, 1) > 0 else f"-{name}", least) for name, least in gates.items())
        gate = ", ".join(f"{name} {least:.2f}" for name, least in wanted) or "nothing was rejected"
        name = cell.name.replace("|", "\\|")
        lines.append(f"| {name} | {figures['accepted']:,} | {figures['draws']:,} | {gate} |")
    return front_matter(front) + "\n" + "\n".join([*lines, "", f"Licence: {licence}", ""])


def _size(images: int) -> str:
    return next((word for least, word in _SIZES if images >= least), "n<1K")
