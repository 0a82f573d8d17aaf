"""Fixtures of all rooms: a real PostgreSQL, fresh databases in it, the real service over HTTP.

`database`         a fresh, migrated database
`service`          the service, one worker, on a fresh database: for tests that kill, stop or count
`start_service`    the same with any number of workers, settings, or on a database of its own
`shared_service`   the service with two workers that cheap tests share
`merchant`, `api`  a merchant of its own in the shared service, and a client with its key
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support.postgres import Database, Server, running_server
from tests.support.service import RUNNING, Api, Merchant, Service, create_merchant, running_service

StartService = Callable[..., Service]

_PARTS = ExitStack()
_SERVER = pytest.StashKey[Server]()
_WORKER_INPUT = "evertill_server"


def _server_of(config: pytest.Config) -> Server:
    """Return the run's cluster: the controller's, else one that is started now."""
    given = getattr(config, "workerinput", {}).get(_WORKER_INPUT)
    if given is not None:
        return msgspec.json.decode(given, type=Server)
    if _SERVER not in config.stash:
        config.stash[_SERVER] = _PARTS.enter_context(running_server())
    return config.stash[_SERVER]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell each xdist worker where the one cluster is, which the controller starts."""
    node.workerinput[_WORKER_INPUT] = msgspec.json.encode(_server_of(node.config)).decode()


def pytest_unconfigure() -> None:
    """Stop the cluster, in the process that started it."""
    _PARTS.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the logs of running services with a failure."""
    report = yield
    if report.failed:
        for service in RUNNING:
            report.sections.append((f"service on port {service.port}", service.log_tail()))
    return report


@pytest.fixture(scope="session")
def postgres(pytestconfig: pytest.Config) -> Server:
    """Give the cluster of this run."""
    return _server_of(pytestconfig)


@pytest.fixture
def database(postgres: Server) -> Iterator[Database]:
    """Give a fresh, migrated database."""
    with postgres.fresh_database() as database:
        yield database


@pytest.fixture
def start_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartService]:
    """Give a function `(database, workers=1, until="/ready", **settings)` that starts one."""
    with ExitStack() as stack:

        def start(
            database: Database, workers: int = 1, until: str = "/ready", **settings: Any
        ) -> Service:
            folder = tmp_path_factory.mktemp("service")
            return stack.enter_context(
                running_service(database, folder, workers, until=until, **settings)
            )

        yield start


@pytest.fixture
def service(database: Database, start_service: StartService) -> Service:
    """Give a service of the test's own: one worker on a fresh database."""
    return start_service(database)


@pytest.fixture(scope="session")
def shared_service(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Give the service that cheap tests share: two workers."""
    folder: Path = tmp_path_factory.mktemp("shared-service")
    with (
        postgres.fresh_database() as database,
        running_service(database, folder, workers=2) as service,
    ):
        yield service


@pytest.fixture
def merchant(shared_service: Service) -> Merchant:
    """Give a merchant of the shared service that no other test knows."""
    return create_merchant(shared_service.database)


@pytest.fixture
def api(shared_service: Service, merchant: Merchant) -> Iterator[Api]:
    """Give a client of the shared service with the key of `merchant`."""
    client = Api(shared_service, merchant)
    yield client
    client.close()


@pytest.fixture
def service_url_and_key(shared_service: Service, merchant: Merchant) -> tuple[str, str]:
    """Give the address of the shared service and a new merchant's key."""
    return shared_service.url, merchant.key
