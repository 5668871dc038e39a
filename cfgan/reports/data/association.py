"""Which attributes go together: phi, the correlation of two yes/no attributes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cfgan.data.profile.pairs import cluster_order, phi_matrix
from cfgan.reports.data.look import DataReport, Look
from cfgan.reports.data.rounding import rounded
from cfgan.reports.plots import shortened, to_svg
from cfgan.reports.section import Rows, Section, schema_beside, template_beside

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STRONGEST = 20  # pairs named beside the matrix
_RASTER = 60  # attributes from which the matrix is a picture, not shapes: thousands of squares are slow on a phone


def _compute(look: Look) -> dict[str, Any]:
    phi = phi_matrix(look.pairs)
    found = {
        "order": [look.names[i] for i in cluster_order(phi)],
        "phi": [[rounded(value) for value in row] for row in phi.tolist()],
        "strongest": _strongest(look.names, phi, look.pairs),
    }
    return {"association": found}


def _strongest(names: Sequence[str], phi: npt.NDArray[np.float64], pairs: npt.NDArray[np.int64]) -> Rows:
    first, second = np.triu_indices(len(names), 1)
    values = np.nan_to_num(phi[first, second])
    order = np.argsort(-np.abs(values), kind="stable")[:_STRONGEST]
    return [
        {
            "first": names[i],
            "second": names[j],
            "phi": rounded(phi[i, j]),
            "n": int(pairs[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].sum()),
        }
        for i, j in zip(first[order].tolist(), second[order].tolist(), strict=True)
        if math.isfinite(phi[i, j])
    ]


def _table(report: DataReport) -> Rows:
    association = report.data["association"]
    phi = dict(zip(_names(report), association["phi"], strict=True))
    place = {name: k for k, name in enumerate(phi)}
    order = association["order"]
    return [{"attribute": name, **{other: phi[name][place[other]] for other in order}} for name in order]


def _names(report: DataReport) -> list[str]:
    return [row["name"] for row in report.data["attributes"]]


def _view(report: DataReport) -> dict[str, Any]:
    from markupsafe import Markup

    return {"phi": Markup(_plot(report.data["association"], _names(report)))}  # noqa: S704


def _plot(association: Mapping[str, Any], names: Sequence[str]) -> str:
    """Heat map of phi, attributes in the order of their clustering.

    Args:
        association: of ``stats.json``.
        names: the attributes in the order of its matrix.

    Returns:
        SVG markup; empty with fewer than two attributes.
    """
    order = [names.index(name) for name in association["order"]]
    if len(order) < 2:
        return ""
    phi = np.asarray(association["phi"], dtype=float)[np.ix_(order, order)]
    np.fill_diagonal(phi, np.nan)
    titles = [shortened(name.replace("_", " ")) for name in association["order"]]
    # A few pairs that mean the same thing must not leave the rest pale.
    bound = max(0.1, float(np.nanquantile(np.abs(phi), 0.995)) if np.isfinite(phi).any() else 1.0)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        mesh = axes.pcolormesh(
            np.ma.masked_invalid(phi),
            cmap="PuOr_r",
            vmin=-bound,
            vmax=bound,
            edgecolors="none",
            rasterized=len(order) > _RASTER,
        )
        axes.invert_yaxis()
        places = [k + 0.5 for k in range(len(order))]
        axes.set_xticks(places, titles, rotation=90, fontsize=7)
        axes.set_yticks(places, titles, fontsize=7)
        axes.tick_params(length=0)
        axes.set_aspect("equal")
        figure.colorbar(mesh, ax=axes, shrink=0.5, label="phi", extend="both")

    strongest = association["strongest"][:3]
    listed = "; ".join(f"{row['first']} and {row['second']} {row['phi']:.2f}" for row in strongest)
    alt = f"Heat map of phi for every two of {len(order)} attributes. Strongest: {listed}. phi.csv has all."
    side = 2.2 + 0.16 * len(order)
    return to_svg(draw, (side + 0.9, side), "phi", alt)


ASSOCIATION: Section[Look, DataReport] = Section(
    template_beside(__file__), _compute, _view, {"phi": _table}, schema_beside(__file__)
)
