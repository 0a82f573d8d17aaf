"""Webhooks go to the internet only, whatever a merchant's URL or name says."""

from __future__ import annotations

import asyncio
import ipaddress
import threading

import pytest

from evertill.journal.addresses import (
    NAMES_AT_ONCE_MAX,
    AddressRefused,
    Names,
    check_url,
    is_public,
    resolve,
)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "0.0.0.0",  # noqa: S104 - read, not bound
        "224.0.0.1", "255.255.255.255", "::1", "::", "fd00:ec2::254", "fe80::1",
        "ff02::1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1",
        "fec0::1", "64:ff9b:1::a9fe:a9fe", "::7f00:1", "2001:0:a9fe:a9fe::1", "2001:db8::1",
        "4000::1",
    ],
)  # fmt: skip
def test_no_address_of_a_network_of_ours_is_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"])
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/", "ftp://example.com/", "https://", "https://user@example.com/",
        "https://example.com/#part", "https://example.com:99999/", "https://exa mple.com/",
        "https://[::1/", "https://[::1]/", "https://[::ffff:169.254.169.254]/", "https://10.0.0.1/",
        "example.com", "https://example.com/\n", "https://" + "a" * 2048,
    ],
)  # fmt: skip
def test_a_url_that_is_not_plainly_one_of_https_is_refused(url: str) -> None:
    with pytest.raises(AddressRefused):
        check_url(url, is_private_allowed=False)


@pytest.mark.parametrize(
    "url", ["https://127.1/", "https://2130706433/", "https://0x7f000001/", "https://[::1]/"]
)
def test_other_ways_to_write_a_private_address_are_refused(url: str) -> None:
    with pytest.raises((AddressRefused, OSError)):
        asyncio.run(resolve(url, Names(), is_private_allowed=False))


def test_a_name_that_nobody_answers_for_holds_up_no_other() -> None:
    released = threading.Event()
    asked: list[str] = []

    def look_up(host: str, _port: int) -> list[str]:
        asked.append(host)
        if host == "silent.example":
            released.wait()
        return ["93.184.216.34"]

    async def run() -> None:
        names = Names(look_up)
        silent = [
            asyncio.create_task(names.find("silent.example", 443))
            for _ in range(2 * NAMES_AT_ONCE_MAX)
        ]
        # They ask before the other does.
        await asyncio.sleep(0)
        async with asyncio.timeout(10):
            found = await resolve("https://public.example/", names, is_private_allowed=False)
        assert "93.184.216.34" == found
        released.set()
        await asyncio.gather(*silent)

    asyncio.run(run())
    assert ["silent.example", "public.example"] == asked


def test_a_name_is_asked_for_anew_each_time() -> None:
    # A name that was public a moment ago may point into our network now.
    answers = iter([["93.184.216.34"], ["127.0.0.1"]])

    async def run() -> None:
        names = Names(lambda _host, _port: next(answers))
        await resolve("https://public.example/", names, is_private_allowed=False)
        with pytest.raises(AddressRefused):
            await resolve("https://public.example/", names, is_private_allowed=False)

    asyncio.run(run())


def test_one_private_address_among_public_ones_refuses_the_name() -> None:
    names = Names(lambda _host, _port: ["93.184.216.34", "10.0.0.1"])
    with pytest.raises(AddressRefused):
        asyncio.run(resolve("https://public.example/", names, is_private_allowed=False))
