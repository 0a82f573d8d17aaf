"""The asset itself: what is in it, how large it is, and that it is the same bytes each time."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

from scripts.validation_asset import LOCK, ZIP_SIZE_MAX_BYTES, build, digest, pack


def test_two_builds_are_the_same_bytes(tmp_path: Path) -> None:
    first = pack(build(tmp_path / "one", is_local=True))
    second = pack(build(tmp_path / "two", is_local=True))
    assert digest(first) == digest(second)


def test_the_zip_is_small_and_holds_no_times_and_no_byte_code(asset: Path) -> None:
    archive = pack(asset)
    assert archive.stat().st_size < ZIP_SIZE_MAX_BYTES
    with zipfile.ZipFile(archive) as stream:
        entries = stream.infolist()
    assert {(1980, 1, 1, 0, 0, 0)} == {entry.date_time for entry in entries}
    assert [] == [e.filename for e in entries if "__pycache__" in e.filename]
    assert sorted(e.filename for e in entries) == [e.filename for e in entries]


def test_of_ours_it_holds_the_domain_the_function_and_the_logs_format_alone(asset: Path) -> None:
    rooms = {path.name for path in (asset / "evertill").iterdir()}
    assert {"__init__.py", "domain", "journal", "validation"} == rooms
    journal = {path.name for path in (asset / "evertill" / "journal").iterdir()}
    assert {"__init__.py", "records.py"} == journal


def test_it_holds_every_locked_package_and_no_other(asset: Path) -> None:
    locked = re.findall(r"^([A-Za-z0-9._-]+)==([^ \\]+)", LOCK.read_text(), re.MULTILINE)
    held = {path.name.removesuffix(".dist-info") for path in asset.glob("*.dist-info")}
    assert {f"{name.replace('-', '_')}-{version}" for name, version in locked} == held
