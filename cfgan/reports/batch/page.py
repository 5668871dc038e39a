"""A report as one HTML page: no script, nothing from the network, names from outside only as text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cfgan.io.yaml import dump_yaml
from cfgan.reports.page import environment
from cfgan.reports.plots import rates_plot, reliability_plot

if TYPE_CHECKING:
    from cfgan.reports.batch.examples import Picture
    from cfgan.reports.batch.report import Report


_TEMPLATES = Path(__file__).parent.parent / "templates"
_CELLS = 256  # requests shown one by one; beyond that the page would be too heavy for a phone
_COLUMNS = 12  # attributes across in the table of side effects

VERDICTS = {
    "holds": "Holds",
    "falls_short": "Falls short",
    "fails": "Fails",
    "unproven": "Not proved",
}
"""The verdicts as words."""

_LINES = {"names": 20, "spec": 60_000}  # batches named in the title; letters of a spec shown


def render_page(report: Report) -> str:
    """The page. Every value is escaped; only the plots, which are made here, are markup."""
    from markupsafe import Markup

    data = report.data
    deciding = data["settings"]["deciding"]
    cells = [(batch, cell) for batch in data["batches"] for cell in batch["cells"]]
    diagrams = [(d, Markup(reliability_plot(d, f"reliable{k}"))) for k, d in enumerate(data["calibration"])]  # noqa: S704
    readers = [deciding, *({"judge", "verifier"} - {deciding})]
    rows = data["attributes"]
    tables = [(reader, found) for reader in readers if (found := [row for row in rows if reader in row["readers"]])]
    return (
        environment()
        .from_string((_TEMPLATES / "report.html.j2").read_text(encoding="utf-8"))
        .render(
            data=data,
            style=Markup((_TEMPLATES / "report.css").read_text(encoding="utf-8")),  # noqa: S704
            title=_title([batch["name"] for batch in data["batches"]]),
            verdict=VERDICTS[data["verdict"]],
            deciding=deciding,
            readers=readers,
            tables=tables,
            both=[row for row in rows if row["readers"].get(deciding, {}).get("balanced")],
            witnesses=_external(data, deciding),
            cells=cells[:_CELLS],
            left_out=len(cells) - len(cells[:_CELLS]),
            pictures={key: _by_kind(found) for key, found in report.pictures.items()},
            rates=Markup(rates_plot(data["attributes"], deciding)),  # noqa: S704
            diagrams=[pair for pair in diagrams if pair[1]],
            effects=_effects(data["side_effects"]),
            agreement=_agreement(data),
            specs={
                batch["id"]: dump_yaml(batch["spec"])[: _LINES["spec"]] for batch in data["batches"] if batch["spec"]
            },
        )
    )


def _external(data: dict[str, Any], deciding: str) -> dict[str, list[tuple[str, dict[str, Any]]]]:
    """Value that was asked for -> who saw it how often, over all requests: the deciding reader, then others."""
    found: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for row in data["witnesses"]["rows"] if data["witnesses"] else ():
        if row["cell"] is not None:
            continue
        title = row["attribute"] if row["value"] > 0 else f"-{row['attribute']}"
        if title not in found:
            readers: dict[str, Any] = next(
                (each["readers"] for each in data["attributes"] if each["name"] == row["attribute"]), {}
            )
            figure = readers.get(deciding, {}).get("wanted" if row["value"] > 0 else "unwanted")
            found[title] = [(deciding, {**figure, "delivered": figure["verified"]})] if figure else []
        found[title].append((row["witness"], row))
    return found


def _by_kind(pictures: list[Picture]) -> dict[str, list[Picture]]:
    """Kind -> pictures, in the order given."""
    kinds: dict[str, list[Picture]] = {}
    for picture in pictures:
        kinds.setdefault(picture.kind, []).append(picture)
    return kinds


def _title(names: list[str]) -> str:
    shown = ", ".join(names[: _LINES["names"]])
    return shown if len(names) <= _LINES["names"] else f"{shown} and {len(names) - _LINES['names']:,} more"


def _agreement(data: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of the attributes that were asked for."""
    asked = {row["name"] for row in data["attributes"]}
    return [row for row in data["agreement"]["attributes"] if row["name"] in asked] if data["agreement"] else []


def _effects(effects: dict[str, Any] | None) -> dict[str, Any] | None:
    """The strongest side effects as a table: a row a requested value, a column an attribute that was not asked for."""
    if effects is None:
        return None
    rows: dict[str, dict[str, Any]] = {}
    asked: dict[str, set[str]] = {}
    strongest: dict[str, float] = {}
    measured = {(row["asked"], row["value"]) for row in effects["rows"] if row["shift"] is not None}
    for row in (row for row in effects["rows"] if (row["asked"], row["value"]) in measured):
        title = row["asked"] if row["value"] > 0 else f"-{row['asked']}"
        asked[title] = {row["asked"]}
        rows.setdefault(title, {})[row["attribute"]] = {**row, "shade": _shade(row)}
        if row["attribute"] != row["asked"] and row["shift"] is not None and row["sure"]:
            strongest[row["attribute"]] = max(strongest.get(row["attribute"], 0.0), abs(row["shift"]))
    columns = sorted(strongest, key=lambda name: (-strongest[name], name))[:_COLUMNS]
    if not columns:
        return None
    # Values that were only ever asked for together have the same row.
    together: dict[tuple[Any, ...], str] = {}
    for title in list(rows):
        key = tuple((row["shift"], row["n"]) for row in rows[title].values())
        first = together.setdefault(key, title)
        if first != title:
            both, asked_both = f"{first}, {title}", asked.pop(first) | asked.pop(title)
            rows = {both if name == first else name: found for name, found in rows.items() if name != title}
            asked[both], together[key] = asked_both, both
    return {"reader": effects["reader"], "rows": rows, "asked": asked, "columns": columns}


def _shade(row: dict[str, Any]) -> str:
    """A class of the style sheet: more or less, in three steps; none where chance explains it."""
    if row["shift"] is None or not row["sure"]:
        return ""
    step = 1 + (abs(row["shift"]) >= 0.1) + (abs(row["shift"]) >= 0.25)
    return f"{'more' if row['shift'] > 0 else 'less'}{step}"
