from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from helpers import make_bundle

from cfgan.attributes.prior import Prior
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.serve.app import create_app
from cfgan.serve.limits import Limits
from cfgan.serve.work import Served


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory, vocabulary: Vocabulary, prior: Prior) -> Served:
    return Served(make_bundle(tmp_path_factory.mktemp("serve") / "b", vocabulary, prior, with_judge=True), "cpu")


@pytest.fixture
def client(served: Served) -> Iterator[TestClient]:
    limits = Limits(faces=8, draws=400, seconds=20, body=20_000, waiting=1)
    with TestClient(create_app({"tiny": served}, limits=limits), base_url="http://localhost") as client:
        yield client
