"""Planning a balance: pure, so told by its properties."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cfgan.attributes.request import Request, format_request
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.balance.target import AtLeast, BalancePlan, Equal, Need, Ratio, achieved, meets, plan_balance, spread
from cfgan.errors import RequestError, SpecError

V = Vocabulary(("Red", "Round", "Cat", "Dog"))
LABELS = st.lists(st.lists(st.sampled_from([1.0, -1.0, np.nan]), min_size=4, max_size=4), min_size=1, max_size=40)


def table(rows: list[list[float]]) -> np.ndarray:
    return np.asarray(rows, dtype=np.float32)


def of(having: int, lacking: int, unknown: int = 0) -> np.ndarray:
    """Rows with so many known values of Red; all else unknown."""
    labels = np.full((having + lacking + unknown, 4), np.nan, dtype=np.float32)
    labels[:having, 0], labels[having : having + lacking, 0] = 1, -1
    return labels


def after(plan: BalancePlan, labels: np.ndarray) -> np.ndarray:
    """The labels once every planned face was added: requested values known, the rest not."""
    rows = [labels]
    for part in plan.parts:
        row = np.full(4, np.nan, dtype=np.float32)
        for name, value in part.request.items():
            row[V.index(name)] = value
        rows.append(np.repeat(row[None], part.missing, axis=0))
    return np.concatenate(rows)


def counts(plan: BalancePlan, labels: np.ndarray) -> dict[str, int]:
    return {format_request(need.request): int(meets(labels, need.request, V).sum()) for need in plan.needs}


@pytest.mark.slow
@given(LABELS, st.fractions(Fraction(1, 50), Fraction(49, 50), max_denominator=100))
def test_a_ratio_is_reached_exactly_or_no_number_of_faces_comes_nearer(
    rows: list[list[float]], share: Fraction
) -> None:
    labels = table(rows)
    if not np.isfinite(labels[:, 0]).any():
        with pytest.raises(RequestError, match="no row has a known label for Red"):
            plan_balance(Ratio("Red", share), labels, V)
        return
    plan = plan_balance(Ratio("Red", share), labels, V)
    found = achieved(plan.target, counts(plan, after(plan, labels)))
    assert found["reached"] == plan.exact == (not plan.why)
    having, lacking = int((labels[:, 0] > 0).sum()), int((labels[:, 0] < 0).sum())
    assert plan.unknown == len(labels) - having - lacking
    red = sum(part.missing for part in plan.parts if part.request["Red"] > 0)
    other = plan.missing - red
    assert not red or not other  # one side is filled, the other left alone

    def distance(more_red: int, more_other: int) -> Fraction:
        total = having + lacking + more_red + more_other
        return abs(Fraction(having + more_red, total) - share)

    mine = distance(red, other)
    assert (mine == 0) == plan.exact
    low = Fraction(having, having + lacking) < share
    steps = [step for step in (-1, 1, 2, 50) if (red if low else other) + step >= 0]
    assert all(mine <= (distance(red + step, 0) if low else distance(0, other + step)) for step in steps)


def test_a_ratio_names_what_to_add() -> None:
    plan = plan_balance(Ratio("Red", Fraction(1, 2)), of(20, 980, 7), V)
    assert plan.parts == (Need({"Red": 1.0}, 20, 960),) and plan.exact and plan.unknown == 7
    plan = plan_balance(Ratio("Red", Fraction(1, 4)), of(60, 40), V)  # too many: only adding is allowed
    assert plan.parts == (Need({"Red": -1.0}, 40, 140),) and plan.exact
    assert plan_balance(Ratio("Red", Fraction(1, 2)), of(50, 50), V).parts == ()
    assert plan_balance(Ratio("Red", Fraction(1, 3)), of(0, 10), V).missing == 5  # none at all yet
    plan = plan_balance(Ratio("Red", Fraction(3, 10)), of(1, 10), V)
    assert plan.missing == 3 and not plan.exact and "of Red faces gives 0.3 exactly; 3 come nearest" in plan.why[0]


@pytest.mark.parametrize("share", [Fraction(0), Fraction(1), Fraction(3, 2), Fraction(-1, 2)])
def test_a_share_out_of_range(share: Fraction) -> None:
    with pytest.raises(SpecError, match="^ratio: .*between 0 and 1"):
        plan_balance(Ratio("Red", share), of(1, 1), V)


def test_too_many_faces_are_refused() -> None:
    with pytest.raises(SpecError, match="more than 10,000,000"):
        plan_balance(Ratio("Red", Fraction(999_999_999, 1_000_000_000)), of(1, 100), V)


@pytest.mark.slow
@given(LABELS, st.lists(st.sampled_from(V.names), min_size=1, max_size=3, unique=True))
def test_combinations_become_equal_without_dropping_a_row(rows: list[list[float]], names: list[str]) -> None:
    labels, target = table(rows), Equal(tuple(names))
    known = np.isfinite(labels[:, [V.index(name) for name in names]]).all(axis=1)
    if not known.any():
        with pytest.raises(RequestError, match="known labels"):
            plan_balance(target, labels, V)
        return
    plan = plan_balance(target, labels, V)
    before, now = counts(plan, labels), counts(plan, after(plan, labels))
    assert len(now) == 2 ** len(names) and set(now.values()) == {max(before.values())}
    assert plan.exact and achieved(target, now)["reached"] and sum(before.values()) == known.sum()
    assert plan.unknown == (~known).sum()


def test_impossible_combinations_stay_and_are_named() -> None:
    def impossible(request: Request) -> str | None:
        return "Cat and Dog exclude each other." if request.get("Cat") == request.get("Dog") == 1 else None

    labels = table([[1, 1, 1, -1], [1, 1, 1, -1], [1, 1, -1, 1], [1, 1, -1, -1]])
    plan = plan_balance(Equal(("Cat", "Dog")), labels, V, impossible=impossible)
    assert {format_request(part.request): part.missing for part in plan.parts} == {"-Cat,Dog": 1, "-Cat,-Dog": 1}
    assert not plan.exact and plan.why == ("Cat,Dog stays at 0: Cat and Dog exclude each other.",)
    assert achieved(plan.target, counts(plan, after(plan, labels))) == {"least": 0, "most": 2, "reached": False}


@pytest.mark.slow
@given(
    LABELS,
    st.lists(
        st.tuples(
            st.dictionaries(st.sampled_from(V.names), st.sampled_from([1.0, -1.0]), min_size=1, max_size=3),
            st.integers(1, 60),
        ),
        min_size=1,
        max_size=5,
        unique_by=lambda pair: tuple(sorted(pair[0].items())),
    ),
)
def test_least_counts_are_reached_and_nothing_is_made_twice(
    rows: list[list[float]], wanted: list[tuple[Request, int]]
) -> None:
    labels = table(rows)
    plan = plan_balance(AtLeast(tuple(wanted)), labels, V)
    now = counts(plan, after(plan, labels))
    assert achieved(plan.target, now) == {"short": {}, "reached": True}
    for need, (request, least) in zip(plan.needs, wanted, strict=True):
        assert need.request == request  # in the order given
        if need.missing:  # one face less would not have done
            assert now[format_request(request)] == least


@pytest.mark.parametrize(
    ("counts", "says"),
    [
        ([({"Red": 0.5}, 3)], "wanted or unwanted"),
        ([({}, 3)], "wanted or unwanted"),
        ([({"Red": 1.0}, 0)], "between 1 and"),
        ([({"Red": 1.0, "Cat": 1.0}, 2), ({"Cat": 1.0, "Red": 1.0}, 3)], "named twice"),
    ],
)
def test_counts_that_cannot_be_used(counts: list[tuple[Request, int]], says: str) -> None:
    with pytest.raises(SpecError, match=says):
        plan_balance(AtLeast(tuple(counts)), of(1, 1), V)


def test_names_that_cannot_be_combined() -> None:
    with pytest.raises(SpecError, match="Red is named twice"):
        plan_balance(Equal(("Red", "Cat", "Red")), of(1, 1), V)
    with pytest.raises(SpecError, match="no attribute is named"):
        plan_balance(Equal(()), of(1, 1), V)
    many = Vocabulary(tuple(f"a{k}" for k in range(13)))
    with pytest.raises(SpecError, match="12 at most"):
        plan_balance(Equal(many.names), np.ones((2, 13), np.float32), many)


@given(LABELS, st.integers(1, 500), st.lists(st.sampled_from(V.names), max_size=4, unique=True))
def test_spreading_keeps_the_sum_and_follows_the_rows(rows: list[list[float]], missing: int, match: list[str]) -> None:
    labels = table(rows)
    need = Need({"Red": 1.0}, int((labels[:, 0] > 0).sum()), missing)
    parts = spread(need, labels, V, match)
    assert sum(part.missing for part in parts) == missing
    names = [name for name in match if name != "Red"]
    if len(parts) > 1:
        assert all(part.request == need.request and set(part.given) == set(names) for part in parts)
        columns = labels[labels[:, 0] > 0][:, [V.index(name) for name in names]]
        known = int(np.isfinite(columns).all(axis=1).sum())
        for part in parts:  # within one face of the quota
            assert abs(part.missing - missing * part.have / known) < 1


def test_spreading_leaves_impossible_and_unseen_combinations_out() -> None:
    labels = table([[1, 1, 1, -1], [1, 1, 1, -1], [1, 1, 1, 1], [1, 1, -1, 1], [-1, 1, -1, -1]])
    need = Need({"Red": 1.0}, 4, 30)

    def impossible(request: Request) -> str | None:
        return "no." if request.get("Cat") == request.get("Dog") == 1 else None

    parts = spread(need, labels, V, ["Cat", "Dog"], impossible)
    assert {part.name: part.missing for part in parts} == {"Red given Cat,-Dog": 20, "Red given -Cat,Dog": 10}
    assert spread(Need({"Red": 1.0, "Dog": 1.0, "Round": -1.0}, 0, 5), labels, V, ["Cat"]) == [
        Need({"Red": 1.0, "Dog": 1.0, "Round": -1.0}, 0, 5)
    ]  # no row to go by
