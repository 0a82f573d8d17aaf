"""A question to a server that does not answer is given up, and leaves nothing to wait for."""

from __future__ import annotations

import asyncio
import socket

import psycopg
import pytest

from evertill.twin.parts.session import Session, Unanswered

DEADLINE_S = 10.0
ANSWER_S = 0.2


def session_to(listener: socket.socket) -> Session:
    """Return a session to a server that the kernel connects to and that never answers."""
    return Session(f"host=127.0.0.1 port={listener.getsockname()[1]} user=x sslmode=disable")


def end_of_next(listener: socket.socket) -> bytes:
    """Return the last that the next client sent before it closed its socket."""
    client, _ = listener.accept()
    with client:
        client.settimeout(DEADLINE_S)
        while data := client.recv(4096):
            pass
        return data


def test_a_silent_server_is_given_up_in_time_and_its_socket_is_closed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        session = session_to(listener)
        for _ in range(2):
            with pytest.raises(Unanswered):
                asyncio.run(session.ask("SELECT 1", timeout_s=ANSWER_S))
            assert b"" == end_of_next(listener)


def test_closing_a_session_ends_the_question_that_is_being_asked() -> None:
    async def story(session: Session) -> None:
        asking = asyncio.create_task(session.ask("SELECT 1", timeout_s=DEADLINE_S))
        await asyncio.sleep(ANSWER_S)
        session.close()
        with pytest.raises(Unanswered):
            await asyncio.wait_for(asking, DEADLINE_S / 2)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        asyncio.run(story(session_to(listener)))
        assert b"" == end_of_next(listener)


def test_a_server_that_is_not_there_is_an_error_at_once() -> None:
    async def story() -> None:
        session = Session("host=127.0.0.1 port=1 user=x")
        with pytest.raises(psycopg.OperationalError):
            await session.ask("SELECT 1", timeout_s=DEADLINE_S)

    asyncio.run(story())
