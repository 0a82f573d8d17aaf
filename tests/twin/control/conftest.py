"""The small twin that the tests of its control watch and break."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.running_twin import RunningTwin
from tests.support.small_twin import small_twin


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningTwin]:
    with small_twin(tmp_path_factory.mktemp("assembly") / "cdk.out") as running:
        running.until_steady()
        yield running
