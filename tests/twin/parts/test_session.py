"""A question to a server that does not answer is given up, and leaves nothing to wait for."""

from __future__ import annotations

import asyncio
import socket
import time

import psycopg
import pytest
from tests.support.databases import databases, running

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


def test_an_answer_that_came_while_this_process_stood_still_is_not_missed() -> None:
    async def story() -> None:
        async with databases() as world:
            cluster = world.cluster(world.spec(instances=1))
            async with running(cluster):
                assert cluster.writer is not None
                session = Session(cluster.writer.login("postgres"))
                await session.ask("SELECT 1", timeout_s=DEADLINE_S)
                asyncio.get_running_loop().call_later(ANSWER_S / 4, time.sleep, ANSWER_S * 5)
                answer = await session.ask("SELECT pg_sleep(0.1)::text", timeout_s=ANSWER_S)
                assert [("",)] == answer
                session.close()

    asyncio.run(story())
