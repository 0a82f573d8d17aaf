-- Each counts what breaks the promise in its heading; the rows that the clients were told of are
-- in the temporary table `acknowledged`.

-- check: An acknowledged payment is missing, or is stored under another key.
SELECT count(*) FROM acknowledged AS a
WHERE NOT EXISTS (
    SELECT FROM evertill.events AS e
    JOIN evertill.payments AS p USING (merchant_id, payment_id)
    WHERE e.key_digest = a.key_digest AND e.payment_id = a.payment_id);

-- check: A payment was acknowledged twice.
SELECT count(*) - count(DISTINCT payment_id) FROM acknowledged;

-- check: A payment is stored twice.
SELECT count(*) - count(DISTINCT payment_id) FROM evertill.payments;

-- check: A key was taken for two payments.
SELECT count(key_digest) - count(DISTINCT key_digest) FROM evertill.events;

-- check: A payment is stored that nobody was told of, or one is missing.
SELECT abs((SELECT count(*) FROM evertill.payments) - (SELECT count(*) FROM acknowledged)
    - %(prefilled)s::bigint);

-- check: A payment's entries do not sum to zero.
SELECT count(*) FROM (
    SELECT FROM evertill.ledger_entries
    GROUP BY subject_id, currency HAVING sum(amount_minor) <> 0) AS unbalanced;

-- check: A captured payment has no entries of its amount.
SELECT count(*) FROM evertill.payments AS p
WHERE captured_minor > 0 AND NOT EXISTS (
    SELECT FROM evertill.transfers AS t
    WHERE t.subject_id = p.payment_id AND t.amount_minor = p.captured_minor
        AND t.fee_minor = p.fee_minor AND t.merchant_id = p.merchant_id
        AND t.currency = p.currency);

-- check: A stored balance is not the sum of its entries.
SELECT count(*) FROM (
    SELECT merchant_id, currency, account, sum(amount_minor) AS minor
    FROM evertill.current_balances
    CROSS JOIN LATERAL (VALUES ('acquirer_receivable', acquirer_receivable),
        ('authorization_holds', authorization_holds), ('merchant_pending', merchant_pending),
        ('merchant_available', merchant_available), ('fees', fees),
        ('refunds_payable', refunds_payable)) AS stored (account, amount_minor)
    GROUP BY merchant_id, currency, account HAVING sum(amount_minor) <> 0) AS stored
FULL JOIN (
    SELECT merchant_id, currency, account, sum(amount_minor) AS minor
    FROM evertill.ledger_entries
    GROUP BY merchant_id, currency, account HAVING sum(amount_minor) <> 0) AS computed
USING (merchant_id, currency, account)
WHERE stored.minor IS DISTINCT FROM computed.minor;
