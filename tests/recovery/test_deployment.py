"""Recovery spells the names of an environment as its templates do."""

from __future__ import annotations

from pathlib import Path

import pytest

from evertill.domain.errors import UsageError
from evertill.infrastructure.names import Names
from evertill.infrastructure.settings import read_environment
from evertill.recovery.deployment import read_deployment


@pytest.mark.parametrize("environment", ["dev"])
def test_names_are_those_of_the_templates(environment: str) -> None:
    settings = read_environment(environment)
    deployment = read_deployment(environment)
    assert tuple(region.name for region in settings.regions) == deployment.regions
    for region in deployment.regions:
        names = Names(settings, region)
        assert names.global_database == deployment.global_database
        assert names.database == deployment.database
        assert names.admin_secret == deployment.admin_secret
        assert names.lease_table == deployment.lease_table
        assert f"service/{names.cluster}/{names.service}" == deployment.scaled
        assert names.balancer == deployment.named("alb")
        assert names.front_domain == deployment.front
        assert names.regional_domain(region) == deployment.regional(region)
    assert settings.service.tasks_min == deployment.tasks_min


def test_the_other_region_of_a_region_that_is_not_there_is_a_sentence() -> None:
    with pytest.raises(UsageError, match="eu-west-1 is no region of this environment"):
        read_deployment("dev").other("eu-west-1")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("suffix = 'x'", "describes no environment with two regions"),
        ("standby = 'none'\nsuffix = 'x'\ndomain = 'd'\n[service]\n", "describes no environment"),
        ("= nothing", "is not readable TOML"),
    ],
)
def test_a_file_that_is_no_environment_is_refused_in_a_sentence(
    tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "odd.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=said):
        read_deployment(str(path))


def test_an_environment_that_is_not_there_is_a_sentence() -> None:
    with pytest.raises(UsageError, match="staging cannot be read"):
        read_deployment("staging")
