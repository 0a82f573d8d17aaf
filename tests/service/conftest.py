"""Fixtures of the service's tests: a merchant that bad input must leave as it is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.service import Api, Json, Service, create_merchant


@pytest.fixture(scope="session")
def still_life(shared_service: Service) -> Iterator[tuple[Api, Json]]:
    """Give a merchant with a captured and an authorized payment, and all that it can see."""
    api = Api(shared_service, create_merchant(shared_service.database))
    api.paid()
    api.paid(capture=False)
    api.events(2)
    yield api, api.state()
    api.close()


@pytest.fixture
def unmoved(still_life: tuple[Api, Json]) -> Iterator[Api]:
    """Give that merchant's client; after the test nothing may have changed."""
    api, before = still_life
    yield api
    assert before == api.state()
