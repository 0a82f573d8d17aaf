"""What answers as AWS in these tests: an emulator's process, with credentials that it takes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.aws import CREDENTIALS, Aws, running_aws


@pytest.fixture
def aws(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    """Give an emulator with the bucket `journal`."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with running_aws(tmp_path_factory.mktemp("aws")) as aws:
        yield aws
