"""`evertill pay`: one clear result, and a key that makes a retry safe."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from evertill.client.defaults import Access, find_access
from evertill.client.faults import ServiceUnknown


def pay(shell: Any, stand_in: Any, *options: str) -> Any:
    return shell.run("pay", "--url", stand_in.url, "--key", stand_in.key, *options)


def test_a_payment_is_told_in_one_line_and_its_key_can_be_used_again(
    stand_in: Any, shell: Any
) -> None:
    first = pay(shell, stand_in, "--amount", "10.99", "--currency", "USD")
    assert (first.returncode, first.stdout.count("\n")) == (0, 1)
    assert "captured 10.99 USD" in first.stdout
    key = first.stderr.strip().rpartition(" ")[2]
    options = ("--amount", "10.99", "--currency", "USD", "--idempotency-key", key, "--json")
    again = json.loads(pay(shell, stand_in, *options).stdout)
    assert (again["replayed"], len(stand_in.answers), again["amount"]) == (True, 1, 1099)


def test_a_decline_is_told_and_exits_with_1(stand_in: Any, shell: Any) -> None:
    stand_in.decide = lambda _item: "source_blocked"
    done = pay(shell, stand_in, "--amount", "1", "--currency", "JPY", "--source", "tok_1")
    assert done.returncode == 1
    assert "declined 1 JPY: No. (source_blocked)" in done.stdout


@pytest.mark.parametrize(
    ("amount", "currency", "sentence"),
    [("1.105", "USD", "2 decimals"), ("ten", "USD", "plain decimal"), ("1", "ZZZ", "ISO 4217")],
)
def test_a_wrong_amount_or_currency_is_told_in_one_line(
    stand_in: Any, shell: Any, amount: str, currency: str, sentence: str
) -> None:
    done = pay(shell, stand_in, "--amount", amount, "--currency", currency)
    assert (done.returncode, stand_in.calls) == (1, 0)
    assert sentence in done.stderr


def test_a_missing_option_is_a_usage_mistake(shell: Any) -> None:
    assert shell.run("pay", "--amount", "1").returncode == 2


def test_the_service_is_found_in_options_then_environment_then_the_demonstration(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EVERTILL_URL", raising=False)
    monkeypatch.delenv("EVERTILL_API_KEY", raising=False)
    with pytest.raises(ServiceUnknown, match="make up"):
        find_access(None, None)
    (tmp_path / ".evertill").mkdir()
    (tmp_path / ".evertill" / "demo.json").write_text('{"url": "http://demo", "key": "d"}')
    assert Access("http://demo", "d") == find_access(None, None)
    (tmp_path / ".evertill" / "twin").mkdir()
    twin = tmp_path / ".evertill" / "twin" / "demo.json"
    twin.write_text('{"url": "https://twin", "key": "t", "authorities": "ca.pem"}')
    os.utime(tmp_path / ".evertill" / "demo.json", (1, 1))
    assert Access("https://twin", "t", "ca.pem") == find_access(None, None)
    monkeypatch.setenv("EVERTILL_URL", "http://environment")
    with pytest.raises(ServiceUnknown, match="no API key for http://environment"):
        find_access(None, None)
    monkeypatch.setenv("EVERTILL_API_KEY", "e")
    assert Access("http://environment", "e") == find_access(None, None)
    assert Access("http://given", "g") == find_access("http://given", "g")
