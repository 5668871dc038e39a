"""``cfgan attributes``: what can be asked for."""

from __future__ import annotations

from cfgan.model.default import DEFAULT
from cfgan_cli.options import AsJson, BundleOption
from cfgan_cli.output import console, exit_codes, percent, print_json
from cfgan_cli.tables import new_table, print_table


def attributes(
    bundle: BundleOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """List the attributes of a bundle in groups: how common each is in its training labels, from which probability
    the verifier sees it in an image, and from which a draw is accepted that is to show it.
    """
    with exit_codes():
        from cfgan.model.bundle import open_bundle
        from cfgan.verify.gate import alone

        opened = open_bundle(bundle)
        vocabulary = opened.vocabulary
        shares = dict(zip(vocabulary.names, opened.prior().marginals, strict=True))
        thresholds = dict(zip(vocabulary.names, opened.calibration.threshold, strict=True))
        accepted = {name: alone(opened, name) for name in vocabulary.names}
        if as_json:
            groups = {name: title for title, names in vocabulary.grouped().items() for name in names}
            listed = [
                {
                    "name": name,
                    "group": groups[name],
                    "share": round(float(shares[name]), 5),
                    "threshold": round(float(thresholds[name]), 5),
                    "accepted_from": accepted[name],
                }
                for name in vocabulary.names
            ]
            excluded = [sorted(group) for group in vocabulary.exclusive]
            classes = [sorted(group) for group in vocabulary.one_of]
            print_json({"bundle": opened.name, "attributes": listed, "exclusive": excluded, "one_of": classes})
            return
        from rich.markup import escape

        figures = "in the training labels", "seen from", "accepted from, asked for alone"
        table = new_table("group", "attribute", *figures, left=("attribute",))
        for title, names in vocabulary.grouped().items():
            for place, name in enumerate(names):
                head = title if place == 0 else ""
                least = "too few real ones" if accepted[name] is None else f"p = {accepted[name]:.3f}"
                seen = f"p = {thresholds[name]:.3f}"
                table.add_row(escape(head), escape(name), percent(float(shares[name])), seen, least)
        print_table(table, keys=(0, 1))
        others = [group for group in vocabulary.exclusive if group not in vocabulary.one_of]
        for heading, sets in (("At most one of each:", others), ("Exactly one of each:", [*vocabulary.one_of])):
            if sets:
                console().print(f"\n{heading}", *("  " + ", ".join(sorted(each)) for each in sets), sep="\n")
