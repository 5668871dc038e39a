from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfgan.errors import DataError
from cfgan.testsets.scores.tables import ScoreTable, read_scores, refuse_missing

NAMES = ["p1", "p2", "p3"]


def read(path: Path, **options: object) -> ScoreTable:
    return read_scores(path, NAMES, key="pair", column="score", **options)  # type: ignore[arg-type]


def table(tmp_path: Path, text: str, name: str = "s.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    [
        "pair,score\np2,-1e-3\np1,2\np3,\n",
        "\ufeffscore;note;pair\n-0.001;x;p2\n 2 ;;p1\n;late;p3\n",
        'pair\tscore\n"p1"\t2.0\n\np2\t-.001\np3\t\n',
    ],
)
def test_rows_in_any_order_and_an_empty_score_is_a_declared_failure(tmp_path: Path, text: str) -> None:
    found = read(table(tmp_path, text))
    assert found.score[:2].tolist() == [2.0, -0.001] and math.isnan(found.score[2])
    assert found.failed.tolist() == [False, False, True] and not found.missing.any()


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("pair,score\np1,1\np2,x\np3,0.1.2\n", r"not a number .*: p2 \('x'\), p3 \('0.1.2'\)"),
        ("pair,score\np1,1_0\np2,1\np3,1\n", "not a number .*p1"),
        ("pair,score\np1,nan\np2,inf\np3,-1e200\n", r"not a finite .*: p1 \('nan'\), p2 \('inf'\), p3"),
        ("pair,score\np1,1\np1,1\np2,1\np2,2\np3,2\n", "pair more than once: p1, p2"),
        ("pair,score\np1,1\np9,1\nq,2\n", "unknown pair: p9, q"),
        ("pair,score\n,1\np2,1\n", "pair is empty: row 1"),
        ("pair,value,scores\np1,1,1\n", "no column 'score'. Did you mean scores"),
        ("pair,score,score\np1,1,1\n", "two columns 'score'"),
        ("left,right\np1,1\n", "no column 'pair'; it has left, right"),
        ("pair,score\np1,1,2\n", "line 2: 3 cells instead of 2"),
        ("", "no column 'pair'"),
        ('pair,score\n"p1,1\n', "never closed"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(DataError, match=what) as caught:
        read(table(tmp_path, text))
    assert caught.value.field == "SCORES" or "no column" in what or "two columns" in what


def test_many_wrong_rows_are_counted_and_the_first_named(tmp_path: Path) -> None:
    rows = "".join(f"x{k},1\n" for k in range(1234))
    with pytest.raises(DataError, match=r"x0, x1, x2, x3, x4 and 1,229 more \(1,234 in all\)"):
        read(table(tmp_path, f"pair,score\n{rows}"))


def test_missing_rows_are_the_callers_to_refuse(tmp_path: Path) -> None:
    found = read(table(tmp_path, "pair,score\np2,1\n"))
    assert found.missing.tolist() == [True, False, True] and not found.failed.any()
    with pytest.raises(DataError, match="no row for p1, p3 of 3.*--allow-missing"):
        refuse_missing(found, NAMES, "pair")
    spared = read(table(tmp_path, "pair,score\np2,1\n"), optional=frozenset({"p1", "p3"}))
    refuse_missing(spared, NAMES, "pair")


def test_no_such_file(tmp_path: Path) -> None:
    table(tmp_path, "pair,score\n", "scores.csv")
    with pytest.raises(DataError, match="Did you mean scores.csv"):
        read(tmp_path / "score.csv")
    with pytest.raises(DataError, match="is a folder"):
        read(tmp_path)


def test_parquet(tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")

    def write(columns: dict[str, object]) -> Path:
        parquet.write_table(arrow.table(columns), tmp_path / "s.parquet")
        return tmp_path / "s.parquet"

    found = read(write({"score": arrow.array([1.5, None, 2.0], arrow.float32()), "pair": ["p3", "p2", "p1"]}))
    assert found.score[[0, 2]].tolist() == [2.0, 1.5] and found.failed.tolist() == [False, True, False]
    with pytest.raises(DataError, match="not a finite number.*p1"):
        read(write({"pair": NAMES, "score": [math.nan, 1.0, 1.0]}))
    with pytest.raises(DataError, match="not a number.*p1 .True"):
        read(write({"pair": NAMES, "score": [True, False, True]}))
    with pytest.raises(DataError, match="no column 'score'"):
        read(write({"pair": NAMES, "points": [1, 2, 3]}))
    with pytest.raises(DataError, match="is damaged, or no Parquet file"):
        read(table(tmp_path, "pair,score\n", "t.parquet"))


@settings(max_examples=50)
@given(st.lists(st.floats(-1e99, 1e99), min_size=3, max_size=3))
def test_scores_come_back_as_they_were_written(tmp_path_factory: pytest.TempPathFactory, scores: list[float]) -> None:
    path = tmp_path_factory.mktemp("t") / "s.csv"
    path.write_text("pair,score\n" + "".join(f"{n},{s!r}\n" for n, s in zip(NAMES, scores, strict=True)))
    assert np.array_equal(read(path).score, scores)
