"""Cold and warm times of the validation function, as AWS's own client runs it, and its size.

    python -m benchmarks.validation [--json]

Cold is from the start of the process, which loads the built asset without byte code as in Lambda,
to the answer of its first invocation: settings, imports, both connections, a stored decision and a
record in the log. Lambda adds the time for a machine and for fetching the zip. PostgreSQL and the
emulator of S3 are on this machine, so no network is in it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from scripts.validation_asset import build, pack
from tests.support.aws import running_aws
from tests.support.postgres import running_server
from tests.support.runtime_api import Function, make_client, running_function
from tests.validation.conftest import BUCKET, Parts, direct, environment, login, payment

COLD_STARTS: Final = 7
WARM_INVOCATIONS: Final = 300
WARM_UP_INVOCATIONS: Final = 20


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.validation")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    is_json = parser.parse_args().json
    figures = measure()
    if is_json:
        print(json.dumps(figures))
        return 0
    print(f"cold start to first answer   {figures['lambda_cold_ms']:8.1f} ms (median)")
    print(f"warm invocation              {figures['lambda_warm_ms']:8.1f} ms (median)")
    print(f"warm invocation, p99         {figures['lambda_warm_p99_ms']:8.1f} ms")
    print(f"zip for this machine         {figures['lambda_zip_mb']:8.2f} MB")
    return 0


def measure() -> dict[str, float]:
    """Return the figures, in milliseconds and megabytes."""
    with tempfile.TemporaryDirectory(prefix="evertill-validation-") as temporary:
        folder = Path(temporary)
        asset = build(folder / "asset", is_local=True)
        client = make_client(folder / "client")
        with (
            running_aws(folder) as aws,
            running_server() as server,
            server.fresh_database() as database,
        ):
            aws.client("s3").create_bucket(Bucket=BUCKET)
            given = environment(Parts(asset, client, aws), login(database))
            log = folder / "function.log"
            cold_ms = []
            for _ in range(COLD_STARTS):
                with running_function(asset, client, given, log) as function:
                    cold_ms.append(_cold_ms(function))
            with running_function(asset, client, given, log) as function:
                warm_ms = _warm_ms(function)
        return {
            "lambda_cold_ms": round(statistics.median(cold_ms), 1),
            "lambda_warm_ms": round(statistics.median(warm_ms), 1),
            "lambda_warm_p99_ms": round(statistics.quantiles(warm_ms, n=100)[98], 1),
            "lambda_zip_mb": round(pack(asset).stat().st_size / 1e6, 2),
        }


def _cold_ms(function: Function) -> float:
    assert direct(function, payment())[0] == 200  # noqa: PLR2004 - the status of an approval
    return (time.perf_counter() - function.began_s) * 1000


def _warm_ms(function: Function) -> list[float]:
    for _ in range(WARM_UP_INVOCATIONS):
        function.invoke(payment())
    return [function.invoke(payment()).took_ms for _ in range(WARM_INVOCATIONS)]


if __name__ == "__main__":
    sys.exit(main())
