"""One face against many: rates are those of a plain count, and what does not fit is refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from score_helpers import draw_pairs, make_set
from typer.testing import CliRunner

from cfgan.errors import DataError
from cfgan.testsets.folder import Testset as OpenedSet
from cfgan.testsets.folder import subject_of
from cfgan.testsets.scores.candidates import read_candidates
from cfgan.testsets.scores.identification import Protocol, identification_protocol, score_identification
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

    people, probes = 10_000, 400
    mate = np.where(np.arange(probes) % 2, np.arange(probes), -1)
    protocol = Protocol(tuple(f"e{k}" for k in range(people)), tuple(f"p{k}" for k in range(probes)), mate)
    np.save(tmp_path / "m.npy", np.random.default_rng(0).normal(size=(probes, people)).astype(np.float32))
    tracemalloc.start()
    data = score_identification(protocol, read_candidates(tmp_path / "m.npy", protocol), sizes=(10_000,))
    assert tracemalloc.get_traced_memory()[1] < 8e6 < (tmp_path / "m.npy").stat().st_size
    tracemalloc.stop()
    assert data["rows"][0]["mated"] == 200


def people(probes: int, persons: int, enrolled: int = 20) -> Protocol:
    """``probes`` a person; half of the persons are enrolled."""
    names, mate = [], []
    for person in range(persons):
        names += [f"images/s{person + 1:05d}/s{person + 1:05d}_{k + 2:04d}.png" for k in range(probes)]
        mate += [person if person % 2 == 0 else -1] * probes
    faces = tuple(f"images/s{k + 1:05d}/s{k + 1:05d}_0001.png" for k in range(max(enrolled, persons)))
    return Protocol(faces, tuple(names), np.array(mate))


def test_intervals_count_people_and_not_their_probes() -> None:
    """All probes of a person succeed or fail together: six of each are no more than one."""
    found = {}
    for probes in (1, 6):
        protocol = people(probes, 40)
        rng = np.random.default_rng(0)
        fails = {person: rng.random() < 0.3 for person in range(40)}
        rows = []
        for k, name in enumerate(protocol.probes):
            scores = np.zeros(40)
            own = protocol.mate[k]
            scores[own if own >= 0 else 39] = 1.0 if not fails[int(name.split("/")[1][1:]) - 1] else -1.0
            rows.append((np.arange(40), scores))
        found[probes] = score_identification(protocol, iter(rows), rates=(0.5,), ranks=(1,), sizes=(40,))
    one, six = (next(row for row in found[probes]["rows"] if row["fpir_target"] is None) for probes in (1, 6))
    assert one["fnir"] == six["fnir"] and six["mated"] == 6 * one["mated"]
    assert six["fnir_interval"] == pytest.approx(one["fnir_interval"], abs=0.02)
    assert found[1]["smallest_fpir"] == found[6]["smallest_fpir"] == 3 / 20
    assert found[6]["people"] == {"mated": 20, "nonmated": 20} and "optimistic" in found[6]["notes"][0]


def test_a_threshold_that_all_may_pass_is_a_score_and_no_number_of_300_digits() -> None:
    protocol = people(1, 40)
    rows = [(np.array([m]), np.array([0.5])) if m >= 0 else (np.empty(0, int), np.empty(0)) for m in protocol.mate]
    row = score_identification(protocol, iter(rows), rates=(0.1,), ranks=(1,), sizes=(40,))["rows"][-1]
    assert (row["threshold"], row["fpir"], row["fnir"]) == (0.5, 0.0, 0.0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("probe,candidate,score,score\n{p},{e},1,2\n", "has two columns 'score'"),
        ("probe,candidate,score\n{p},{e},1_000\n", "'1_000' is not a finite number"),
        ("probe,candidate,score\n{p},{e},\n", "is not a finite number"),
        ("probe,candidate,score\n{p},{e},1,9\n", "4 cells instead of 3"),
        ("probe,candidate,score\n{p},{e},1\n {p} ,{e},2\n", "is listed twice"),
    ],
)
def test_lists_are_read_as_score_tables_are(protocol: Protocol, tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "c.csv").write_text(content.format(p=protocol.probes[0], e=protocol.enrolled[0]))
    with pytest.raises(DataError, match=message):
        list(read_candidates(tmp_path / "c.csv", protocol))


def test_candidates_in_parquet(protocol: Protocol, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    names = {"probe": protocol.probes[:2], "candidate": protocol.enrolled[:2], "score": [0.5, 1.5]}
    pandas.DataFrame(names).to_parquet(tmp_path / "c.parquet")
    rows = list(read_candidates(tmp_path / "c.parquet", protocol))
    assert [row[1].tolist() for row in rows[:3]] == [[0.5], [1.5], []]
