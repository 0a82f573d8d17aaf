"""The environments as templates, written once for the whole run.

`dev`, `prod`     the assemblies of both environments; prod with stand-ins for its owner's values
`assembly`        each of the two in turn
`single`          development without a standby
`first`           development as it is deployed first, to a stated account
"""

from __future__ import annotations

import pytest
from tests.support.assembly import Assembly, shared_assembly


@pytest.fixture(scope="session")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """Give the templates of the development environment."""
    return shared_assembly(tmp_path_factory, "dev")


@pytest.fixture(scope="session")
def prod(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """Give the templates of production."""
    return shared_assembly(tmp_path_factory, "prod")


@pytest.fixture(scope="session")
def single(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """Give the templates of a deployment without a standby."""
    return shared_assembly(tmp_path_factory, "single")


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """Give the templates of a first deployment, before the buckets have rules."""
    return shared_assembly(tmp_path_factory, "first")


@pytest.fixture(params=["dev", "prod"])
def assembly(request: pytest.FixtureRequest) -> Assembly:
    """Give the templates of either environment."""
    found: Assembly = request.getfixturevalue(request.param)
    return found
