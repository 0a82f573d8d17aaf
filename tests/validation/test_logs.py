"""What the function writes about itself: JSON lines that nobody can forge, and nothing secret."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.postgres import Database
from tests.support.service import create_merchant, new_payment
from tests.validation.conftest import Deploy, direct, payment

CARD = "4111111111111111"
TEXTS = 4_096


def balancer_event(key: str, body: object) -> dict[str, object]:
    """Return the event of a load balancer."""
    return {
        "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:x"}},
        "httpMethod": "POST",
        "path": "/v1/validations",
        "headers": {"content-type": "application/json", "authorization": f"Bearer {key}"},
        "body": json.dumps(body),
        "isBase64Encoded": False,
    }


def test_a_text_with_newlines_forges_no_line(database: Database, deploy: Deploy) -> None:
    # The function that stores is away, so every event here ends in a log line about a failure.
    database.rows("DROP FUNCTION record_validation")
    function = deploy(database)
    forged = '{"level":"INFO","message":"forged"}'
    for event in (
        payment(payment_id=f"a\n{forged}"),
        payment(reference=f"a\r\n{forged}"),
        payment(currency=f"USD\n{forged}"),
        payment(source=f"x\u2028{forged}"[:64]),
        payment(),
    ):
        direct(function, event)
    assert all("level" in line or "_aws" in line for line in function.entries())
    assert "forged" not in [line.get("message") for line in function.entries()]


def test_neither_cards_nor_keys_nor_tokens_are_logged(database: Database, deploy: Deploy) -> None:
    database.rows("DROP FUNCTION source_history")
    merchant = create_merchant(database)
    function = deploy(database)
    for body in (
        new_payment(source=CARD),
        new_payment(reference=f"card {CARD}"),
        {CARD: CARD},
        new_payment(source="tok_secret", reference="1234567890123"),
    ):
        function.invoke(balancer_event(merchant.key, body))
        direct(function, payment(payment_id=CARD))
        direct(function, payment(amount=CARD, currency=CARD))
        direct(function, payment(merchant=merchant.name, source="tok_secret"))
    output = function.output()
    assert "a request failed" in output
    for secret in (CARD, merchant.key, "tok_secret", "1234567890123"):
        assert secret not in output


def test_a_line_is_no_longer_than_it_needs_to_be(database: Database, deploy: Deploy) -> None:
    database.rows(
        "CREATE OR REPLACE FUNCTION evertill.find_merchant(of_name text)"
        " RETURNS TABLE (merchant_id bigint, active boolean, terms text)"
        " LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$ BEGIN"
        " RAISE EXCEPTION '%%', repeat('x', 100000); END $$"
    )
    function = deploy(database)
    assert 500 == direct(function, payment(merchant="any"))[0]
    assert max(map(len, function.output().splitlines())) < TEXTS


def test_each_invocation_counts_what_became_of_it(database: Database, deploy: Deploy) -> None:
    function = deploy(database)
    for amount in ("1", "0", "x"):
        direct(function, payment(amount=amount))
    figures = [line for line in function.entries() if "_aws" in line]
    assert [["Approved"], ["Declined"], ["Refused"]] == [
        [metric["Name"] for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]]
        for line in figures
    ]
    assert {"validation"} == {line["service"] for line in figures}


def test_a_function_with_a_wrong_setting_says_which(
    database: Database, deploy: Deploy, tmp_path: Path
) -> None:
    function = deploy(database, EVERTILL_LOG_BUCKET="")
    answer = function.invoke(payment())
    assert answer.error is not None
    assert "EVERTILL_LOG_BUCKET" in answer.payload["errorMessage"]
    assert tmp_path in function.log.parents
