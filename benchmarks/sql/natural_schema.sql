-- The tables of the textbook: what a good engineer writes before there is a reason for more. Foreign
-- keys say what belongs together, an index serves the merchant's list and one the velocity rules.
-- Where a textbook leaves a choice they lean towards speed: time-ordered ids, no triggers, room for
-- the balances' updates in place.

CREATE SCHEMA textbook;
SET search_path = textbook;

CREATE TABLE merchants (merchant_id bigint PRIMARY KEY, name text NOT NULL);

CREATE TABLE idempotency_keys (
    merchant_id bigint NOT NULL REFERENCES merchants,
    key text NOT NULL,
    request_hash bytea NOT NULL,
    answer text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (merchant_id, key)
);

CREATE TABLE payments (
    payment_id uuid PRIMARY KEY DEFAULT uuidv7(),
    merchant_id bigint NOT NULL REFERENCES merchants,
    status text NOT NULL,
    currency text NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    fee_minor bigint NOT NULL,
    source text NOT NULL,
    reference text,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX payments_by_merchant ON payments (merchant_id, created_at);
CREATE INDEX payments_by_source ON payments (merchant_id, source, created_at);

CREATE TABLE ledger_entries (
    payment_id uuid NOT NULL REFERENCES payments,
    account text NOT NULL,
    merchant_id bigint NOT NULL,
    currency text NOT NULL,
    amount_minor bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (payment_id, account)
);

CREATE TABLE account_balances (
    merchant_id bigint NOT NULL REFERENCES merchants,
    currency text NOT NULL,
    account text NOT NULL,
    balance_minor bigint NOT NULL,
    PRIMARY KEY (merchant_id, currency, account)
) WITH (fillfactor = 50);

CREATE TABLE outbox (
    event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    payment_id uuid NOT NULL REFERENCES payments,
    payload json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- B: the same as one call. The balances come last, so that a hot row is locked for as short a time
-- as can be.
CREATE FUNCTION take_payment(
    of_merchant_id bigint, in_currency text, amount bigint, from_source text, under_key text,
    with_reference text
) RETURNS text LANGUAGE plpgsql SET search_path = textbook AS $$
DECLARE
    known text;
    attempts record;
    fee bigint := amount * 29 / 1000;
    id uuid;
BEGIN
    SELECT answer INTO known FROM idempotency_keys
    WHERE merchant_id = of_merchant_id AND key = under_key;
    IF FOUND THEN
        RETURN known;
    END IF;

    SELECT count(*) FILTER (WHERE created_at > now() - interval '1 minute') AS in_minute,
        count(*) FILTER (WHERE created_at > now() - interval '1 hour') AS in_hour,
        count(*) AS in_day, sum(amount_minor) AS sum_in_day
    INTO attempts FROM payments
    WHERE merchant_id = of_merchant_id AND source = from_source
        AND created_at > now() - interval '24 hours';
    IF attempts.in_minute > 1000000 THEN
        RETURN 'declined';
    END IF;

    INSERT INTO payments (merchant_id, status, currency, amount_minor, fee_minor, source, reference)
    VALUES (of_merchant_id, 'captured', in_currency, amount, fee, from_source, with_reference)
    RETURNING payment_id INTO id;
    INSERT INTO ledger_entries (payment_id, account, merchant_id, currency, amount_minor)
    VALUES (id, 'acquirer_receivable', of_merchant_id, in_currency, -amount),
        (id, 'merchant_pending', of_merchant_id, in_currency, amount - fee),
        (id, 'fees', of_merchant_id, in_currency, fee);
    INSERT INTO idempotency_keys (merchant_id, key, request_hash, answer)
    VALUES (of_merchant_id, under_key, '\x00112233445566778899aabbccddeeff', repeat('x', 350));
    INSERT INTO outbox (payment_id, payload)
    VALUES (id, ('{"data":"' || repeat('x', 350) || '"}')::json);
    -- Row after row in one order: an UPDATE of the three at once deadlocks on a hot merchant.
    INSERT INTO account_balances AS b (merchant_id, currency, account, balance_minor)
    VALUES (of_merchant_id, in_currency, 'acquirer_receivable', -amount),
        (of_merchant_id, in_currency, 'merchant_pending', amount - fee),
        (of_merchant_id, in_currency, 'fees', fee)
    ON CONFLICT (merchant_id, currency, account)
    DO UPDATE SET balance_minor = b.balance_minor + excluded.balance_minor;
    RETURN id::text;
END
$$;
