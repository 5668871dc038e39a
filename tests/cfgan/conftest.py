"""Batches of a tiny bundle that has a judge, for tests of reports."""

from __future__ import annotations

import pytest
from report_helpers import Make, batch_maker, judge_with, judged_bundle

from cfgan.attributes.prior import Prior
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.model.bundle import Bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, vocabulary: Vocabulary, prior: Prior) -> Bundle:
    """Tiny random networks: what its judge says has nothing to do with what was asked for."""
    return judged_bundle(tmp_path_factory.mktemp("report"), vocabulary, prior)


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory, bundle: Bundle) -> Make:
    return batch_maker(tmp_path_factory.mktemp("batches"), bundle)


@pytest.fixture
def honest(monkeypatch: pytest.MonkeyPatch) -> None:
    """A judge that sees what is there: as tiny networks draw nothing, that is what the verifier sees."""
    judge_with(monkeypatch, None)
