from __future__ import annotations

from cfgan.io.progress import named, silent, within


def test_stages_are_renamed_and_the_rest_is_handed_on() -> None:
    calls: list[tuple[object, ...]] = []
    show = lambda *call: calls.append(call)  # noqa: E731
    named(show, "all of it")("reading", 1, 2, "slow")
    within(show, before="a: ", after=": b")("reading", 2, 2)
    silent("reading", 1, 2)
    assert calls == [("all of it", 1, 2, "slow"), ("a: reading: b", 2, 2, "")]
