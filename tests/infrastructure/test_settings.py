"""Settings that cannot be deployed are refused, each with one sentence that names the key."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from evertill.infrastructure.errors import SettingsError
from evertill.infrastructure.settings import FOLDER, Settings, read_environment, read_settings

DIGEST = "sha256:" + "0123456789abcdef" * 4
OTHER_DIGEST = "sha256:" + "fedcba9876543210" * 4
OWNER = """
domain = "pay.evertill.io"
alert_email = "oncall@evertill.io"
"""


def production(old: str = "", new: str = "") -> str:
    """Return production's file with its owner's values, and `new` in place of `old`."""
    text = OWNER + (FOLDER / "prod.toml").read_text()
    text = text.replace(
        "\n[service]\n",
        f'\n[service]\nimage_digest = "{DIGEST}"\nbase_image_digest = "{OTHER_DIGEST}"\n',
    )
    assert old in text
    return text.replace(old, new, 1)


def read(folder: Path, text: str) -> Settings:
    path = folder / "prod.toml"
    path.write_text(text)
    return read_settings(path)


def test_an_owner_completes_the_production_file(tmp_path: Path) -> None:
    settings = read(tmp_path, production())
    assert ("us-east-1", "us-east-2") == tuple(region.name for region in settings.regions)
    assert DIGEST == settings.service.image_digest
    assert not settings.rehearsal


def test_development_needs_no_owner() -> None:
    assert "dev" == read_environment("dev").environment


def test_a_rehearsal_of_production_keeps_what_the_file_says() -> None:
    settings = read_environment("prod", rehearsal=True)
    assert settings.rehearsal
    assert 10 == settings.service.tasks_min


def test_a_rehearsal_is_no_weaker_than_production(tmp_path: Path) -> None:
    text = production("lock_days = 400", "lock_days = 1")
    path = tmp_path / "prod.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=r"log\.lock_days: 1 is too few"):
        read_settings(path, FOLDER / "rehearsal.toml")


def test_a_single_region_is_asked_for_by_name(tmp_path: Path) -> None:
    text = re.sub(r"\[standby\]\n(.+\n)+", "", production('witness_region = "us-west-2"'))
    settings = read(tmp_path, 'standby = "none"\n' + text)
    assert settings.standby is None
    assert ("us-east-1",) == tuple(region.name for region in settings.regions)


def test_a_standby_cannot_be_forgotten(tmp_path: Path) -> None:
    text = re.sub(r"\[standby\]\n(.+\n)+", "", production())
    with pytest.raises(SettingsError, match="standby"):
        read(tmp_path, text)


REFUSALS = [
    ('suffix = "prod"', 'suffix = "Prod"', "suffix: 'Prod' must be lower-case"),
    ('suffix = "prod"', 'suffix = "prod-"', "suffix: 'prod-' must be lower-case"),
    ('suffix = "prod"', 'suffix = "1prod"', "suffix: '1prod' must be lower-case"),
    ('suffix = "prod"', 'suffix = "productionlike"', "suffix: 'productionlike' has 14 characters"),
    ('suffix = "prod"', 'suffix = "prod"\ncolour = "red"', "colour: this key is unknown"),
    ("cpu = 1024", "cpu = 1024\ngpu = 1", "service.gpu: this key is unknown"),
    ("cpu = 1024", "cpu = 1000", "service.cpu: it must be 256, 512, 1024, 2048 or 4096."),
    ("cpu = 1024", 'cpu = "1024"', "service.cpu: it must be "),
    ("tasks_min = 10", 'tasks_min = "ten"', "service.tasks_min: it must be a whole number."),
    ("tasks_min = 10", "tasks_min = 0", "service.tasks_min: it must be 1 or more."),
    ("nat_gateways = 3", "nat_gateways = 4", "network.nat_gateways: it must be 3 or less."),
    ('suffix = "prod"', 'suffix = "dev"', "production cannot be named 'dev'"),
    ('instance_class = "r7g.2xlarge"', 'instance_class = "r7g.large"', "r7g.large is too small"),
    ("nat_gateways = 3", "nat_gateways = 1", "network.nat_gateways: 1 is too few for production"),
    ("interface_endpoint_zones = 3", "interface_endpoint_zones = 1", "one zone's loss must not"),
    ("flow_log_days = 400", "flow_log_days = 7", "network.flow_log_days: 7 is too few"),
    ("standby_instances = 2", "standby_instances = 1", "needs a reader of its own: 2"),
    ("\ntasks_min = 10", "\ntasks_min = 1", "service.tasks_min: 1 is too few"),
    ("standby_tasks_min = 3", "standby_tasks_min = 1", "service.standby_tasks_min: 1 is too few"),
    ("lock_days = 400", "lock_days = 1", "log.lock_days: 1 is too few for production"),
    ("access_log_days = 400", "access_log_days = 7", "log.access_log_days: 7 is too few"),
    ("memory_mib = 2048", "memory_mib = 1024", "Fargate has no task with 1024 CPU units"),
    ("tasks_min = 10", "tasks_min = 60", "service.tasks_min: 60 is more than tasks_max"),
    ("standby_tasks_min = 3", "standby_tasks_min = 51", "standby_tasks_min: 51 is more"),
    ('name = "us-east-2"', 'name = "us-east-1"', "'us-east-2a' is not a zone of this region"),
    ("10.11.0.0/16", "10.10.128.0/17", "overlaps 10.10.0.0/16"),
    ("10.11.0.0/16", "10.11.0.1/16", "'10.11.0.1/16' is not a network"),
    ("10.11.0.0/16", "10.11.0.0/24", "must be between /16 and /20"),
    ("10.11.0.0/16", "11.0.0.0/16", "is not a private range"),
    ('"us-east-2b"', '"us-east-2a"', "zones must be three different ones"),
    (', "us-east-2c"', "", "standby.zones: it holds 2, not 3."),
    ('"us-west-2"', '"us-east-2"', "the witness must be a third"),
    ('"us-west-2"', '"eu-west-1"', "DynamoDB keeps no strongly consistent table"),
    ('witness_region = "us-west-2"', "", "the write lease needs a third region"),
    ("pay.evertill.io", "example.com", "example.com is reserved by RFC 2606"),
    ("pay.evertill.io", "pay.example", "pay.example is reserved by RFC 2606"),
    ("pay.evertill.io", "pay.example.org", "reserved by RFC 2606"),
    ("pay.evertill.io", "not a name", "'not a name' is not a domain name"),
    ("pay.evertill.io", "changeme.io", "changeme.io is a placeholder"),
    ("pay.evertill.io", "foo.io", "foo.io is a placeholder"),
    ("pay.evertill.io", "evertill.internal", "evertill.internal is a placeholder"),
    ("oncall@evertill.io", "oncall@example.com", "nobody reads mail at example.com"),
    ("oncall@evertill.io", "changeme@evertill.io", "changeme@evertill.io is a placeholder"),
    ("oncall@evertill.io", "oncall", "'oncall' is not an e-mail address"),
    ('alert_email = "oncall@evertill.io"', "", "production needs an address that somebody reads"),
    ('domain = "pay.evertill.io"', "", "domain: "),
    (f'image_digest = "{DIGEST}"', "", "service.image_digest: production runs an image"),
    (f'base_image_digest = "{OTHER_DIGEST}"', "", "service.base_image_digest: production runs"),
    (DIGEST, "latest", "service.image_digest: it must be sha256: and 64 hexadecimal digits."),
    (DIGEST, "sha256:" + "0" * 64, "is a stand-in and no image"),
    ('hosted_zone = "create"', 'hosted_zone = "mine"', "neither .create. nor a zone id"),
    ('"compliance"', '"governance"', 'locks its log in "compliance" mode'),
    ("noncurrent_days = 400", "noncurrent_days = 30", "cannot expire before their lock of 400"),
    ("backup_days = 35", "backup_days = 3", "database.backup_days: it must be 7 or more."),
    ('engine_version = "17.7"', 'engine_version = "9.6"', "database.engine_version: "),
    ('instance_class = "r7g.2xlarge"', 'instance_class = "t4g.medium"', "instance_class: "),
    ('suffix = "prod"', 'suffix = "prod"\nrehearsal = true', "pass it on the command line"),
    ('suffix = "prod"', "suffix = ", "prod.toml is not readable TOML"),
]


@pytest.mark.parametrize(("old", "new", "sentence"), REFUSALS, ids=[r[2] for r in REFUSALS])
def test_what_cannot_be_deployed_is_refused(
    tmp_path: Path, old: str, new: str, sentence: str
) -> None:
    with pytest.raises(SettingsError, match=sentence) as refused:
        read(tmp_path, production(old, new))
    words = str(refused.value)
    assert words.startswith("prod.toml")
    assert "\n" not in words


def test_the_same_region_twice_is_refused(tmp_path: Path) -> None:
    text = production().replace("us-east-2", "us-east-1")
    with pytest.raises(SettingsError, match="us-east-1 is the active region already"):
        read(tmp_path, text)


def test_a_witness_without_a_standby_is_refused(tmp_path: Path) -> None:
    text = re.sub(r"\[standby\]\n(.+\n)+", "", production())
    with pytest.raises(SettingsError, match="there is nothing to witness"):
        read(tmp_path, 'standby = "none"\n' + text)


def test_a_missing_file_and_an_unknown_environment_are_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.toml cannot be read"):
        read_settings(tmp_path / "none.toml")
    with pytest.raises(SettingsError, match="'test' is no environment; name one of dev, prod"):
        read_environment("test")


@pytest.mark.parametrize("domain", ["barclays.io", "foodmart.io", "mastodon.social"])
def test_a_name_that_only_contains_a_placeholder_is_somebodys(tmp_path: Path, domain: str) -> None:
    assert domain == read(tmp_path, production("pay.evertill.io", domain)).domain


def test_a_mistake_is_one_sentence_and_starts_no_node() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "evertill.infrastructure", "prod"],
        cwd=FOLDER.parents[1],
        env={"PYTHONPATH": "src"},
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in done.stderr.splitlines() if not line.startswith("import time:")]
    assert 2 == done.returncode
    assert 1 == len(said)
    assert said[0].startswith("evertill: prod.toml: domain")
    assert "aws_cdk" not in done.stderr
