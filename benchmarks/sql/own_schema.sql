-- What the benchmarks add to a database of Evertill's, in a schema of their own.

CREATE SCHEMA benchmark;
SET search_path = evertill;

-- Sources that pay again and again; their keys are those that the service computes.
CREATE TABLE benchmark.regulars (
    regular integer PRIMARY KEY,
    merchant_id bigint NOT NULL,
    currency text NOT NULL,
    source text NOT NULL,
    source_key bigint NOT NULL
);

-- B*: one payment in one call, into Evertill's own tables.
CREATE FUNCTION benchmark.take_payment(
    of_merchant_id bigint, in_currency text, amount bigint, from_source_key bigint,
    from_source text, under_key uuid, with_reference text
) RETURNS text LANGUAGE plpgsql SET search_path = evertill AS $$
DECLARE
    known text;
    attempts record;
    fee bigint := amount * 29 / 1000;
    id uuid := uuidv7();
    event uuid := uuidv7();
BEGIN
    SELECT answer INTO known FROM events WHERE key_digest = under_key;
    IF FOUND THEN
        RETURN known;
    END IF;

    SELECT count(*) FILTER (WHERE created_at > now() - interval '1 minute') AS in_minute,
        count(*) FILTER (WHERE created_at > now() - interval '1 hour') AS in_hour,
        count(*) AS in_day, sum(amount_minor) AS sum_in_day
    INTO attempts FROM payments
    WHERE source_key = from_source_key AND created_at > now() - interval '24 hours';
    IF attempts.in_minute > 1000000 THEN
        RETURN 'declined';
    END IF;

    INSERT INTO payments (merchant_id, payment_id, status, currency, exponent, amount_minor,
        captured_minor, fee_minor, source_key, source, reference, created_at, captured_at)
    VALUES (of_merchant_id, id, 'captured', in_currency, 2, amount, amount, fee, from_source_key,
        from_source, with_reference, now(), now());
    INSERT INTO events (merchant_id, event_id, payment_id, type, key_digest, body_digest,
        created_at, answer)
    VALUES (of_merchant_id, event, id, 'payment.captured', under_key, under_key, now(),
        repeat('x', 350));
    INSERT INTO transfers (subject_id, sequence, merchant_id, currency, kind, debit, credit,
        amount_minor, fee_minor, created_at)
    VALUES (id, 1, of_merchant_id, in_currency, 2, 1, 3, amount, fee, now());
    INSERT INTO outbox (created_at, merchant_ids, event_ids)
    VALUES (now(), ARRAY[of_merchant_id], ARRAY[event]);
    INSERT INTO balances AS b (merchant_id, currency, acquirer_receivable,
        merchant_pending, fees)
    VALUES (of_merchant_id, in_currency, -amount, amount - fee, fee)
    ON CONFLICT (merchant_id, currency) DO UPDATE SET
        acquirer_receivable = b.acquirer_receivable + excluded.acquirer_receivable,
        merchant_pending = b.merchant_pending + excluded.merchant_pending,
        fees = b.fees + excluded.fees;
    RETURN id::text;
END
$$;

-- The same for many payments at once, spread evenly over a time that has passed, to fill tables.
-- Ids carry their payment's time, as those of the service do.
CREATE FUNCTION benchmark.prefill(
    payments bigint, merchants bigint, since timestamptz, until timestamptz
) RETURNS bigint LANGUAGE sql SET search_path = evertill AS $$
    WITH drawn AS MATERIALIZED (
        SELECT since + (until - since) * (n::float8 / payments) AS at,
            floor(power(merchants, random()))::bigint AS merchant_id,
            (ARRAY['USD', 'EUR', 'JPY'])[1 + floor(random() * 3)::integer] AS currency,
            100 + exp(random_normal(7.5, 1))::bigint AS amount,
            (random() * 9e18)::bigint AS number,
            CASE WHEN random() < 0.1 THEN 1 + floor(random()
                * (SELECT count(*) FROM benchmark.regulars))::integer END AS regular
        FROM generate_series(1, payments) AS n
    ), made AS MATERIALIZED (
        SELECT at, coalesce(r.merchant_id, d.merchant_id) AS merchant_id,
            coalesce(r.currency, d.currency) AS currency, amount, amount * 29 / 1000 AS fee,
            coalesce(r.source_key, number) AS source_key,
            coalesce(r.source, 'tok_' || to_hex(number)) AS source,
            uuidv7(at - clock_timestamp()) AS payment_id,
            uuidv7(at - clock_timestamp()) AS event_id, gen_random_uuid() AS key_digest
        FROM drawn AS d
        LEFT JOIN benchmark.regulars AS r USING (regular)
    ), inserted_payments AS (
        INSERT INTO payments (merchant_id, payment_id, status, currency, exponent, amount_minor,
            captured_minor, fee_minor, source_key, source, reference, created_at, captured_at)
        SELECT merchant_id, payment_id, 'captured', currency,
            CASE currency WHEN 'JPY' THEN 0 ELSE 2 END, amount, amount, fee, source_key, source,
            'order-' || left(payment_id::text, 8), at, at
        FROM made
    ), inserted_events AS (
        INSERT INTO events (merchant_id, event_id, payment_id, type, key_digest, body_digest,
            created_at, answer)
        SELECT merchant_id, event_id, payment_id, 'payment.captured', key_digest, key_digest, at,
            repeat('x', 350)
        FROM made
    ), inserted_transfers AS (
        INSERT INTO transfers (subject_id, sequence, merchant_id, currency, kind, debit, credit,
            amount_minor, fee_minor, created_at)
        SELECT payment_id, 1, merchant_id, currency, 2, 1, 3, amount, fee, at FROM made
    ), inserted_batch AS (
        INSERT INTO unfolded_batches (merchant_ids, currencies, debits, credits, amounts_minor,
            fees_minor)
        SELECT array_agg(merchant_id), array_agg(currency), array_agg(1::smallint),
            array_agg(3::smallint), array_agg(amount), array_agg(fee)
        FROM made
    )
    SELECT count(*) FROM made
$$;
