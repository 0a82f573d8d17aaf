-- Fill the textbook tables: plans that are cached on empty tables are three times slower.
INSERT INTO textbook.merchants
SELECT n, 'merchant ' || n FROM generate_series(1, %(merchants)s::bigint) AS n;

WITH made AS MATERIALIZED (
    SELECT n, uuidv7() AS payment_id,
        floor(power(%(merchants)s, random()))::bigint AS merchant_id,
        (ARRAY['USD', 'EUR', 'JPY'])[1 + n %% 3] AS currency,
        100 + exp(random_normal(7.5, 1))::bigint AS amount
    FROM generate_series(1, %(payments)s::bigint) AS n
), priced AS MATERIALIZED (
    SELECT *, amount * 29 / 1000 AS fee FROM made
), inserted_payments AS (
    INSERT INTO textbook.payments (payment_id, merchant_id, status, currency, amount_minor,
        fee_minor, source, reference)
    SELECT payment_id, merchant_id, 'captured', currency, amount, fee, 'tok_' || md5(n::text),
        'order-' || n
    FROM priced
), inserted_entries AS (
    INSERT INTO textbook.ledger_entries (payment_id, account, merchant_id, currency, amount_minor)
    SELECT payment_id, account, merchant_id, currency, entry.amount
    FROM priced CROSS JOIN LATERAL (VALUES ('acquirer_receivable', -amount),
        ('merchant_pending', amount - fee), ('fees', fee)) AS entry (account, amount)
), inserted_keys AS (
    INSERT INTO textbook.idempotency_keys (merchant_id, key, request_hash, answer)
    SELECT merchant_id, 'prefilled-' || n, '\x00112233445566778899aabbccddeeff', repeat('x', 350)
    FROM priced
)
INSERT INTO textbook.outbox (payment_id, payload)
SELECT payment_id, ('{"data":"' || repeat('x', 350) || '"}')::json FROM priced;

INSERT INTO textbook.account_balances
SELECT merchant_id, currency, account, coalesce(sum(amount_minor), 0)
FROM generate_series(1, %(merchants)s::bigint) AS merchant_id
CROSS JOIN unnest(ARRAY['USD', 'EUR', 'JPY']) AS currency
CROSS JOIN unnest(ARRAY['acquirer_receivable', 'merchant_pending', 'fees']) AS account
LEFT JOIN textbook.ledger_entries USING (merchant_id, currency, account)
GROUP BY merchant_id, currency, account;
