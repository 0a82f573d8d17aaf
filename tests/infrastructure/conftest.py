"""The two environments as templates, written once for the whole run.

`dev`, `prod`     the assemblies of both environments; prod with stand-ins for its owner's values
`assembly`        each of the two in turn
"""

from __future__ import annotations

import pytest
from tests.support.assembly import Assembly, shared_assembly


@pytest.fixture(scope="session")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """Give the templates of the development environment."""
    return shared_assembly(tmp_path_factory, "dev", "dev")


@pytest.fixture(scope="session")
def prod(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """Give the templates of production."""
    return shared_assembly(tmp_path_factory, "prod", "prod", "--rehearsal")


@pytest.fixture(params=["dev", "prod"])
def assembly(request: pytest.FixtureRequest) -> Assembly:
    """Give the templates of either environment."""
    found: Assembly = request.getfixturevalue(request.param)
    return found
