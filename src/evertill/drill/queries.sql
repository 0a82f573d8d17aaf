-- What the checker reads, by name. It is written for the design and shares nothing with the code
-- that is judged. An operator may read all of it; nothing here writes.

-- name: merchant
SELECT merchant_id FROM evertill.api_keys WHERE key_digest = sha256(convert_to(%(key)s, 'UTF8'));

-- name: authority
SELECT epoch, region, pg_is_in_recovery() FROM evertill.authority;

-- name: unbalanced
SELECT subject_id::text, sequence, currency, sum(amount_minor)::bigint
FROM evertill.ledger_entries
GROUP BY subject_id, sequence, currency HAVING sum(amount_minor) <> 0;

-- name: wrong_balances
WITH stored AS (
    SELECT merchant_id, currency, account, amount FROM evertill.current_balances
    CROSS JOIN LATERAL (VALUES ('acquirer_receivable', acquirer_receivable),
        ('authorization_holds', authorization_holds), ('merchant_pending', merchant_pending),
        ('merchant_available', merchant_available), ('fees', fees),
        ('refunds_payable', refunds_payable)) AS a (account, amount)
), counted AS (
    SELECT merchant_id, currency, account, sum(amount_minor)::bigint AS amount
    FROM evertill.ledger_entries GROUP BY merchant_id, currency, account
)
SELECT merchant_id, currency, account, stored.amount, counted.amount
FROM stored FULL JOIN counted USING (merchant_id, currency, account)
WHERE coalesce(stored.amount, 0) <> coalesce(counted.amount, 0);

-- name: unbacked
-- Payments that moved money without entries, and entries that are for no payment of the merchant.
SELECT p.payment_id::text, p.status FROM evertill.payments AS p
WHERE p.merchant_id = %(merchant)s AND p.status <> 'declined' AND NOT EXISTS (
    SELECT FROM evertill.transfers AS t WHERE t.subject_id = p.payment_id);

-- name: events
SELECT transaction_id::text::bigint, event_id, payment_id, type, key_digest,
    extract(epoch FROM created_at)::double precision, answer
FROM evertill.events WHERE merchant_id = %(merchant)s
ORDER BY transaction_id, event_id;

-- name: payments
SELECT payment_id, status, currency, amount_minor, captured_minor, refunded_minor,
    (SELECT coalesce(sum(amount_minor), 0)::bigint FROM evertill.refunds AS r
        WHERE (r.merchant_id, r.payment_id) = (p.merchant_id, p.payment_id))
FROM evertill.payments AS p WHERE merchant_id = %(merchant)s;

-- name: undelivered
-- Batches that the transaction log has not taken yet.
SELECT count(*) FROM evertill.outbox WHERE pending & 1 <> 0;

-- name: try_epoch
SELECT evertill.check_authority(%(epoch)s, clock_timestamp() + interval '1 minute');
