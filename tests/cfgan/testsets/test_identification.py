"""One face against many: rates are those of a plain count, and what does not fit is refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from score_helpers import draw_pairs, make_set
from typer.testing import CliRunner

from cfgan.testsets.folder import Testset as OpenedSet
from cfgan.testsets.folder import subject_of
from cfgan.testsets.scores.identification import Protocol, identification_protocol
from cfgan_cli.app import app

pytestmark = pytest.mark.slow

run = CliRunner().invoke


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> OpenedSet:
    """60 people in comparisons, of whom 40 are enrolled; the others are probes only."""
    pairs = [pair for pair in draw_pairs(60, ("random",), folds=1) if int(subject_of(pair.a)[1:]) <= 40]
    return make_set(tmp_path_factory.mktemp("sets") / "s", pairs)


@pytest.fixture(scope="module")
def protocol(opened: OpenedSet) -> Protocol:
    return identification_protocol(opened)


def drawn(protocol: Protocol, seed: int = 0) -> np.ndarray:
    scores = np.random.default_rng(seed).normal(size=(len(protocol.probes), len(protocol.enrolled)))
    mated = np.flatnonzero(protocol.mate >= 0)
    scores[mated, protocol.mate[mated]] += 2.5
    return scores.astype(np.float32)


def identify(opened: OpenedSet, file: Path, *more: str) -> dict:
    found = run(app, ["testset", "identify", str(opened.path), str(file), "--json", *more])
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout)


def test_the_protocol_enrols_one_face_a_person_and_has_probes_with_and_without_a_mate(
    opened: OpenedSet, tmp_path: Path
) -> None:
    done = run(app, ["testset", "identify", str(opened.path), "--out", str(tmp_path / "p")])
    assert done.exit_code == 0 and "40 enrolled" in done.output
    again = run(app, ["testset", "identify", str(opened.path), "--out", str(tmp_path / "p")])
    assert again.exit_code == 0  # it stands there already
    (tmp_path / "p" / "mine.txt").write_text("mine")
    assert run(app, ["testset", "identify", str(opened.path), "--out", str(tmp_path / "p")]).exit_code == 2
    enrolled, probes = (
        list(csv.DictReader((tmp_path / "p" / f).read_text().splitlines())) for f in ("enrolled.csv", "probes.csv")
    )
    people = {subject_of(row["file"]) for row in enrolled}
    assert len(people) == len(enrolled) == 40
    assert not {row["file"] for row in enrolled} & {row["file"] for row in probes}
    for row in probes:
        who = subject_of(row["file"])
        assert (subject_of(row["mate"]) == who) if row["mate"] else (who not in people)
    again = run(app, ["testset", "identify", str(opened.path), "--out", str(tmp_path / "p")])
    assert again.exit_code == 2, "what stands there is not overwritten"


@pytest.mark.parametrize("distance", [False, True])
def test_rates_are_those_of_a_plain_count(
    opened: OpenedSet, protocol: Protocol, tmp_path: Path, *, distance: bool
) -> None:
    scores = drawn(protocol)
    np.save(tmp_path / "m.npy", -scores if distance else scores)
    more = ["--distance"] if distance else []
    data = identify(opened, tmp_path / "m.npy", "--at", "0.2", "--rank", "1", "--rank", "3", "--size", "40", *more)
    mated = protocol.mate >= 0
    assert data["probes"] == {"mated": int(mated.sum()), "nonmated": int((~mated).sum())}
    for row in data["rows"]:
        threshold = -np.inf if row["threshold"] is None else row["threshold"] * (-1 if distance else 1)
        if row["fpir"] is not None:
            assert row["fpir"] == pytest.approx((scores[~mated].max(1) >= threshold).mean()) and row["fpir"] <= 0.2
        missed = 0
        for line, mate in zip(scores[mated], protocol.mate[mated], strict=True):
            better = (np.delete(line, mate) >= line[mate]).sum()
            missed += not (better < row["rank"] and line[mate] >= threshold)
        assert (row["missed"], row["mated"]) == (missed, mated.sum())


def test_a_list_of_all_candidates_says_what_the_matrix_says(
    opened: OpenedSet, protocol: Protocol, tmp_path: Path
) -> None:
    scores = drawn(protocol)
    scores[3] = np.nan
    np.save(tmp_path / "m.npy", scores)
    with (tmp_path / "c.csv").open("w") as handle:
        handle.write("probe,candidate,score\n")
        for p, e in np.ndindex(scores.shape):
            if not np.isnan(scores[p, e]):
                handle.write(f"{protocol.probes[p]},{protocol.enrolled[e]},{float(scores[p, e])!r}\n")
    by_matrix, by_list = (identify(opened, tmp_path / name) for name in ("m.npy", "c.csv"))
    assert by_matrix["rows"] == by_list["rows"] and by_matrix["without_candidates"] == 1
    assert {row["enrolled"] for row in by_matrix["rows"]} == {40, 20, 10}


def test_larger_galleries_are_harder_and_more_candidates_help(
    opened: OpenedSet, protocol: Protocol, tmp_path: Path
) -> None:
    np.save(tmp_path / "m.npy", drawn(protocol))
    rows = identify(opened, tmp_path / "m.npy", "--rank", "1", "--rank", "10")["rows"]
    at = {(row["enrolled"], row["rank"], row["fpir_target"]): row for row in rows}
    assert at[40, 1, 0.1]["threshold"] >= at[20, 1, 0.1]["threshold"] >= at[10, 1, 0.1]["threshold"]
    assert at[40, 10, None]["fnir"] <= at[40, 1, None]["fnir"]
    assert at[40, 1, 0.1]["fnir"] >= at[40, 1, None]["fnir"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.npy", np.zeros((3, 4)), "probes by enrolled, is expected"),
        ("m.npy", np.zeros((2, 2), np.int64), "int64"),
        ("c.csv", "probe,candidate\n", "no column 'score'"),
        ("c.csv", "probe,candidate,score\nx,y,1\n", "line 2: unknown face 'x'"),
    ],
)
def test_what_does_not_fit_the_protocol_is_refused(
    opened: OpenedSet, tmp_path: Path, name: str, content: object, message: str
) -> None:
    if isinstance(content, str):
        (tmp_path / name).write_text(content)
    else:
        np.save(tmp_path / name, content)
    found = run(app, ["testset", "identify", str(opened.path), str(tmp_path / name)])
    assert found.exit_code == 2 and message in " ".join(found.output.split())


def test_ten_thousand_enrolled_stay_in_bounded_memory(tmp_path: Path) -> None:
    import tracemalloc

    from cfgan.testsets.scores.candidates import read_candidates
    from cfgan.testsets.scores.identification import score_identification

    people, probes = 10_000, 400
    mate = np.where(np.arange(probes) % 2, np.arange(probes), -1)
    protocol = Protocol(tuple(f"e{k}" for k in range(people)), tuple(f"p{k}" for k in range(probes)), mate)
    np.save(tmp_path / "m.npy", np.random.default_rng(0).normal(size=(probes, people)).astype(np.float32))
    tracemalloc.start()
    data = score_identification(protocol, read_candidates(tmp_path / "m.npy", protocol), sizes=(10_000,))
    assert tracemalloc.get_traced_memory()[1] < 8e6 < (tmp_path / "m.npy").stat().st_size
    tracemalloc.stop()
    assert data["rows"][0]["mated"] == 200
