"""Reports as Python sees them: what a batch shows, and where a system fails on a test set."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from cfgan.api.faces import Batch
from cfgan.api.model import Model, load
from cfgan.api.words import in_python
from cfgan.io.cells import CellWriter
from cfgan.io.files import user_path
from cfgan.io.progress import Progress, silent

if TYPE_CHECKING:
    import pandas as pd

    from cfgan.reports.batch.report import Report as Built


class Report:
    """Whether batches show what was asked for; :func:`report` makes it.

    Attributes:
        data: all figures, as ``report.json`` holds them (``cfgan.reports.batch.output.report_schema``).

    Example:
        >>> batch = model.generate("Red", count=4, seed=1, out="red")
        >>> found = cfgan.report(batch, model=model, redraw=0)
        >>> found.headline
        'This batch cannot be proved to show what was asked for.'
        >>> found.to_pandas()["requested.Red"].tolist()
        [1, 1, 1, 1]
    """

    def __init__(self, built: Built) -> None:
        self.data: dict[str, Any] = built.data
        self._built = built

    @property
    def verdict(self) -> str:
        """ "holds", "falls_short", "fails" or "unproven"."""
        return str(self.data["verdict"])

    @property
    def headline(self) -> str:
        """The verdict in one sentence."""
        return str(self.data["headline"])

    @property
    def reasons(self) -> list[str]:
        """Why the verdict is no better; a sentence each."""
        return list(self.data["reasons"])

    def to_pandas(self) -> pd.DataFrame:
        """A row a delivered face: what was requested, and each reader's probability of it."""
        import pandas as pd

        return pd.DataFrame(self._built.faces)

    def save(self, out: str | Path) -> None:
        """Write report.html, report.json and the CSV tables into a folder: new, empty, or an older report.

        Raises:
            FolderError: it holds something else.
            StorageError: the disk refused; an older report stays as it was.
        """
        from cfgan.reports.folder import write_report

        write_report(user_path(out, field="out"), self._built)

    def __repr__(self) -> str:
        return f"<Report: {self.verdict}. {self.headline}>"


@in_python()
def report(
    batches: str | Path | Batch | Sequence[str | Path | Batch],
    *,
    model: Model | str | Path | None = None,
    redraw: int = 2000,
    device: str = "auto",
    progress: Progress | None = None,
) -> Report:
    """Prove or refute that batches show what was asked for.

    Every face is read again by the verifier and by the judge, which chose nothing; draws are made again from their
    seeds; beside each figure stands what the same reader sees in real faces.

    Args:
        batches: batch folders, one or several.
        model: whose readers read the faces; by default the shipped one that made them.
        redraw: draws of each request that are made again at most; 0 for none.
        device: where to compute, if the model does not say.
        progress: called with stage, done, total and a remark.

    Raises:
        InputError: no batch folder, or an unfinished one.
        BundleError: the model is damaged.

    Example:
        >>> batch = model.generate("Red", count=4, seed=1, out="red")
        >>> found = cfgan.report("red", model=model)
        >>> found.verdict
        'unproven'
        >>> found.reasons[0]
        'Only the verifier, which chose these faces, has read them: no judge is at hand, and it proves nothing.'
        >>> found.save("red_report")
    """
    from cfgan.reports.batch.report import build_report

    several = [batches] if isinstance(batches, str | Path | Batch) else list(batches)
    folders = [item.path if isinstance(item, Batch) else user_path(item, field="folder") for item in several]
    opened = load(model, device=device) if isinstance(model, str | Path) else model
    bundle, device = (None, device) if opened is None else (opened.bundle, opened.device)
    return Report(build_report(folders, bundle, redraw=redraw, device=device, progress=progress or silent))


class Score:
    """Where a system fails on a test set; :func:`score` makes it.

    Attributes:
        data: all figures, as ``score.json`` holds them (``cfgan.reports.score.report.score_schema``).

    Example:
        >>> found = cfgan.score(testset, {pair: number for number, pair in enumerate(pairs)}, at=[0.1], resamples=100)
        >>> found.data["testset"]["comparisons"] == len(pairs)
        True
        >>> found.save("score_report")
    """

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data

    @property
    def verdict(self) -> str:
        """ "weak" (weak spots found), "even" (none shown) or "unproven" (too few comparisons)."""
        from cfgan.reports.score.words import verdict

        return verdict(self.data)

    @property
    def headline(self) -> str:
        """The verdict in one sentence."""
        from cfgan.reports.score.words import headline

        return headline(self.data)

    def to_pandas(self) -> pd.DataFrame:
        """A row a part of the test set and operating point: kind of comparison, error rate and interval."""
        import pandas as pd

        from cfgan.reports.score.rates import rate_rows

        return pd.DataFrame(rate_rows(self.data))

    def save(self, out: str | Path) -> None:
        """Write report.html, score.json and the CSV tables into a folder: new, empty, or an older score report.

        Raises:
            FolderError: it holds something else, or lies inside the test set.
            StorageError: the disk refused; an older report stays as it was.
        """
        from cfgan.reports.score.report import write_score_report

        write_score_report(user_path(out, field="out"), self.data)

    def __repr__(self) -> str:
        return f"<Score: {self.verdict}. {self.headline}>"


class _Items(Protocol):
    """A mapping, or a pandas Series: name -> score."""

    def items(self) -> Iterable[tuple[Any, Any]]: ...


@in_python()
def score(
    testset: str | Path,
    scores: str | Path | _Items,
    *,
    threshold: float | None = None,
    at: Sequence[float] | None = None,
    distance: bool = False,
    allow_missing: bool = False,
    threshold_from: str | None = None,
    baseline: str | None = None,
    by: Sequence[str] = (),
    resamples: int = 1000,
    seed: int = 0,
    flag_error_rate: float = 0.05,
    progress: Progress | None = None,
) -> Score:
    """Error rates of a system on a test set, by stratum and attribute, worst first, with 95 % intervals.

    Args:
        testset: its folder.
        scores: CSV or Parquet with ``pair`` (in detection sets ``item``) and ``score``; or a mapping or pandas Series
            name -> score. No score (empty, None, NaN in a mapping) is a failure to acquire.
        threshold: the system's own; a score of that much or more is a match, or an attack.
        at: fixed error rates to look at, 0..1; by default 0.01 and 0.001, in detection sets 0.01 and 0.05.
        distance: less is more alike, or more an attack.
        allow_missing: count comparisons without a row as failures to acquire.
        threshold_from: stratum whose non-mated comparisons thresholds for ``at`` are chosen on.
        baseline: stratum that others are compared with, face by face.
        by: attributes whose values make the groups that are held against each other.
        resamples: of subjects, for the intervals.
        seed: of the resamples.
        flag_error_rate: chance that anything is flagged in a system without a difference.
        progress: called with stage, done, total and a remark.

    Raises:
        DataError: rows that are missing, double, unknown or no numbers; names the first few.
        InputError: a setting that does not fit the test set.

    Example:
        >>> found = cfgan.score(testset, {pair: number for number, pair in enumerate(pairs)}, at=[0.1], resamples=100)
        >>> found.verdict in ("weak", "even", "unproven")
        True
        >>> found.to_pandas()["error"].unique().tolist()
        ['FNMR', 'FMR']
    """
    from cfgan.testsets.folder import open_testset
    from cfgan.testsets.scores.comparisons import join_scores, names_of
    from cfgan.testsets.scores.scoring import Settings, score_testset
    from cfgan.testsets.scores.tables import read_scores

    opened = open_testset(user_path(testset, field="testset"))
    detection = opened.design == "detection"
    key = "item" if detection else "pair"
    names, optional = names_of(opened)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(scores) if isinstance(scores, str | Path) else _written(scores, key, Path(folder))
        table = read_scores(path, names, key=key, column="score", optional=optional)
    comparisons = join_scores(opened, table, distance=distance, allow_missing=allow_missing)
    rates = tuple(at) if at is not None else (0.01, 0.05) if detection else (0.01, 0.001)
    settings = Settings(threshold, rates, threshold_from, baseline, resamples, seed, flag_error_rate, tuple(by))
    return Score(score_testset(opened, comparisons, table, settings, progress=progress))


def _written(scores: _Items, key: str, folder: Path) -> Path:
    """Scores in memory as the file that they might have come from; NaN says what None says."""
    path = folder / "scores.csv"
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = CellWriter(handle)
        writer.writerow([key, "score"])
        writer.writerows((name, "" if value is None or value != value else value) for name, value in scores.items())
    return path
