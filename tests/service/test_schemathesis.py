"""The service against its own OpenAPI document: whatever the document allows, the service keeps.

schemathesis makes requests from the document, valid ones and bad ones, follows its links from one
operation to the next, and judges every answer by the document.
"""

from __future__ import annotations

import re
import subprocess
import sysconfig
from pathlib import Path

from tests.support.service import Api

SEED = 20261122
EXAMPLES_MAX = 15
RUN_TIMEOUT_S = 100
FAILURES_MAX = 10
PROGRAM = Path(sysconfig.get_path("scripts")) / "schemathesis"
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")


def test_the_service_answers_as_its_document_says(api: Api, tmp_path: Path) -> None:
    command = [PROGRAM, "--config-file", CONFIGURATION, "run", f"{api.service.url}/openapi.json"]
    command += ["--header", f"Authorization: Bearer {api.merchant.key}", "--no-color"]
    command += ["--seed", str(SEED), "--max-examples", str(EXAMPLES_MAX)]
    command += ["--generation-database", "none", "--max-failures", str(FAILURES_MAX)]
    command += ["--phases", "examples,coverage,fuzzing,stateful", "--warnings", "off"]
    done = subprocess.run(
        [str(word) for word in command],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_S,
    )
    # What it prints on a failure holds the seed and a curl line for each.
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"Selected: (\d+)/\1\n\s+Tested: \1\n", done.stdout)
    assert 4 == len(re.findall("✅ (?:Examples|Coverage|Fuzzing|Stateful)", done.stdout))
