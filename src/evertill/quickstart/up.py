"""`evertill up`: everything that takes payments, on this machine, until Ctrl-C.

    port -> database -> schema -> demonstration -> workers -> ready -> watch -> stop in reverse

Each step is undone when a later one fails. Signals are looked at between the steps only, so nothing
that was started is ever forgotten.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import click
import msgspec
import psycopg

from evertill.domain.errors import EvertillError
from evertill.quickstart import backing, demo, faults
from evertill.quickstart.backing import Backing, shown
from evertill.quickstart.demo import Demo
from evertill.quickstart.state import State
from evertill.service.journaling import log_location
from evertill.service.listening import listen
from evertill.service.settings import Settings, read_settings
from evertill.service.signals import Signals
from evertill.service.supervisor import LOGGER, Supervisor
from evertill.storage.provisioning import URL_VARIABLE

STATE_DIRECTORY: Final = Path(".evertill")
READY_TIMEOUT_S: Final = 60.0
READY_INTERVAL_S: Final = 0.05
# Before a worker accepts, a call only waits in the kernel; short ones leave time to tend workers.
READY_CALL_TIMEOUT_S: Final = 0.5
EARLY_ENDS_MAX: Final = 3
LAST_LINE_LENGTH_MAX: Final = 300
EXIT_INTERRUPTED: Final = 130
EVERY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read, not bound.

Say = Callable[[str], None]


class ServiceFailed(EvertillError):
    """The service did not start."""

    code = "service_failed"


def up(port: int | None = None, workers: int | None = None) -> int:
    """Run everything until told to stop; return the exit status, which is 0 after a full start.

    Raise an EvertillError that says what stood in the way; all that was started is then stopped.
    """
    settings = _read_settings(port, workers)
    with Signals() as signals:
        try:
            return _run(settings, State(STATE_DIRECTORY), signals)
        except KeyboardInterrupt:
            pass
        except (EvertillError, psycopg.Error):
            # Ctrl-C also reaches programs that help to start, such as initdb, which then fail.
            if not signals.stopping:
                raise
    _tell("Stopped before the start was finished; nothing was lost.")
    return EXIT_INTERRUPTED


def _run(settings: Settings, state: State, signals: Signals) -> int:
    say = _speaker(signals)
    with ExitStack() as stack:
        listener = stack.enter_context(listen(settings.host, settings.port))
        settings = msgspec.structs.replace(settings, port=listener.getsockname()[1])
        base = backing.prepare(stack, state, os.environ, say)
        access = Demo(_address(settings), demo.find_or_make_key(state, base.admin_url))
        say(f"Starting the service on {settings.workers} worker processes.")
        log = state.open_log()
        stack.callback(os.close, log)
        state.bound_log()
        log_from_bytes = faults.log_size_bytes(state.log)
        settings = msgspec.structs.replace(
            settings,
            database_url=base.url,
            webhooks_private=True,
            log_folder=settings.log_folder or str(state.transaction_log.absolute()),
        )
        supervisor = stack.enter_context(Supervisor(settings, listener, log, _tell))
        _wait_until_ready(settings, supervisor, signals, state.log, log_from_bytes)
        demo.write(state, access)
        _tell(_welcome(access, base, state, settings))
        with contextlib.suppress(KeyboardInterrupt):
            _watch(supervisor, base, state, signals, say)
        _stop(supervisor, base)
    return 0


def _read_settings(port: int | None, workers: int | None) -> Settings:
    """Read what the environment says and the command line overrides, without the database."""
    given = {"EVERTILL_PORT": port, "EVERTILL_WORKERS": workers}
    overrides = {name: str(value) for name, value in given.items() if value is not None}
    return read_settings({**os.environ, URL_VARIABLE: "decided later", **overrides})


def _tell(text: str) -> None:
    """Print, unless the terminal is gone: that is no reason to stop what runs."""
    with contextlib.suppress(OSError):
        click.echo(text)


def _speaker(signals: Signals) -> Say:
    """Return what tells of progress, which is also where a stop is taken note of."""

    def say(sentence: str) -> None:
        if signals.stopping:
            raise KeyboardInterrupt
        _tell(sentence)

    return say


def _watch(supervisor: Supervisor, base: Backing, state: State, signals: Signals, say: Say) -> None:
    """Keep everything running until told to stop."""
    while not signals.stopping:
        signals.wait(supervisor.tend())
        if not signals.stopping:
            base.recover(say)
            state.bound_log()


def _stop(supervisor: Supervisor, base: Backing) -> None:
    _tell("\nStopping: the service finishes the payments in hand.")
    has_drained = supervisor.stop()
    _tell("The service has stopped." if has_drained else "The service had to be killed.")
    if base.cluster is not None:
        base.cluster.stop()
        _tell(f"PostgreSQL has stopped; the data stays in {base.name}.")


def _wait_until_ready(
    settings: Settings, supervisor: Supervisor, signals: Signals, log: Path, from_bytes: int
) -> None:
    deadline_s = time.monotonic() + READY_TIMEOUT_S
    while not _is_ready(settings):
        if signals.stopping:
            raise KeyboardInterrupt
        if supervisor.early_ends >= EARLY_ENDS_MAX or time.monotonic() > deadline_s:
            message = (
                f"The service does not start; its log, {shown(log)}, ends with: "
                f"{_last_line(faults.read_tail(log, from_bytes))}"
            )
            raise ServiceFailed(message)
        signals.wait(min(READY_INTERVAL_S, supervisor.tend()))


def _is_ready(settings: Settings) -> bool:
    connection = http.client.HTTPConnection(
        _host(settings), settings.port, timeout=READY_CALL_TIMEOUT_S
    )
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _last_line(text: str) -> str:
    """Return the last line of a worker; our own, that it ended, explain nothing."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and LOGGER not in line]
    return lines[-1][:LAST_LINE_LENGTH_MAX] if lines else "nothing."


def _host(settings: Settings) -> str:
    return EVERY_ADDRESS.get(settings.host, settings.host)


def _address(settings: Settings) -> str:
    host = _host(settings)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def _welcome(access: Demo, base: Backing, state: State, settings: Settings) -> str:
    """Return the one page that a newcomer reads, in one piece."""
    logs = [shown(state.log)]
    if base.cluster is not None:
        logs.append(shown(base.cluster.log))
    journal = log_location(settings)
    if journal == settings.log_folder:
        journal = str(shown(Path(journal)))
    return f"""
Evertill takes payments at {access.url}

  API key  {access.key}
  Docs     {access.url}/docs
  Data     {base.name}
  Logs     {", ".join(map(str, logs))}
  Journal  {journal}

Take a first payment: paste this into another terminal.

{demo.first_payment(access)}

Ctrl-C stops everything; the data stays for the next start.
"""
