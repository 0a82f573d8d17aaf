"""An emulator of S3 and SNS in a process of its own, which tests stop, pause and start again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import httpx
from tests.support.service import START_TIMEOUT_S, wait_until

# The emulator takes anybody; the SDK wants to sign.
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
}


class Aws:
    """ministack on a port of its own, its objects in a folder of the test's."""

    def __init__(self, folder: Path) -> None:
        """Prepare to keep objects in `folder`."""
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self._port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it answers."""
        environment = {
            "GATEWAY_PORT": str(self._port),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(self._folder / "s3"),
            "PERSIST_STATE": "1",
            "STATE_DIR": str(self._folder / "state"),
            "IOT_MTLS_PORT": "0",
        }
        with (self._folder / "aws.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(Path(sys.executable).with_name("ministack"))],
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until(self._answers, START_TIMEOUT_S)

    def stop(self) -> None:
        """Stop; what it holds stays in its folder."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            self._process.wait(START_TIMEOUT_S)
            self._process = None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Accept connections and answer nothing meanwhile."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def client(self, service: str, region: str = CREDENTIALS["AWS_DEFAULT_REGION"]) -> Any:
        """Return a client of one of its services."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=region,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "aws.log").read_text()
        try:
            return httpx.get(self.url + "/_ministack/health").status_code == 200
        except httpx.TransportError:
            return False


@contextmanager
def running_aws(folder: Path) -> Iterator[Aws]:
    """Run an emulator with one bucket, `journal`."""
    aws = Aws(folder)
    try:
        aws.start()
        aws.client("s3").create_bucket(Bucket="journal")
        yield aws
    finally:
        aws.stop()
