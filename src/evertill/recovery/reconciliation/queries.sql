-- Every statement of a reconciliation, by name. `old` is the volume of the region that was lost, and
-- is only read; `new` is the primary that took over.

-- name: read_position
-- Who the database believes may write it, and where its log stands.
SELECT epoch, a.region, pg_is_in_recovery(), t.chain_id, t.sequence
FROM authority AS a LEFT JOIN relay_terms AS t ON t.receiver = 1;

-- name: newest_event
-- When the last event happened.
SELECT max(created_at) FROM events;

-- name: digest_events
-- One digest of all events for each range of 4096 transactions. Two databases of one ancestor agree
-- on every range until they part, and then on none. The time zone of a session does not count.
SELECT transaction_id::text::bigint >> 12 AS range, count(*),
    sum(hashtextextended(concat_ws('|', merchant_id, event_id, payment_id, type, key_digest,
        body_digest, extract(epoch FROM created_at), answer), 0))::text
FROM events GROUP BY 1;

-- name: list_events_of_ranges
-- The ids of the events in ranges of transactions.
SELECT event_id, transaction_id::text::bigint, created_at,
    hashtextextended(concat_ws('|', merchant_id, payment_id, type, key_digest, body_digest,
        extract(epoch FROM created_at), answer), 0)
FROM events WHERE transaction_id::text::bigint >> 12 = ANY (%(ranges)s::bigint[]);

-- name: find_event_digests
-- Which of these events a database has, wherever they stand in it.
SELECT e.event_id, hashtextextended(concat_ws('|', merchant_id, payment_id, type, key_digest,
    body_digest, extract(epoch FROM created_at), answer), 0)
FROM unnest(%(event_ids)s::uuid[]) AS wanted (event_id) JOIN events AS e USING (event_id);

-- name: read_events
-- Events by their ids, in the order in which their transactions began.
SELECT e.event_id, e.merchant_id, e.payment_id, e.type, e.key_digest, e.body_digest, e.created_at,
    e.answer, e.transaction_id::text::bigint
FROM unnest(%(event_ids)s::uuid[]) AS wanted (event_id) JOIN events AS e USING (event_id)
ORDER BY e.transaction_id, e.event_id;

-- name: read_events_of_payments
-- Everything that happened to these payments.
SELECT e.event_id, e.merchant_id, e.payment_id, e.type, e.key_digest, e.body_digest, e.created_at,
    e.answer, e.transaction_id::text::bigint
FROM unnest(%(payment_ids)s::uuid[]) AS wanted (payment_id) JOIN events AS e USING (payment_id)
ORDER BY e.transaction_id, e.event_id;

-- name: read_events_of_keys
-- The events that were recorded under these idempotency keys.
SELECT e.event_id, e.merchant_id, e.payment_id, e.type, e.key_digest, e.body_digest, e.created_at,
    e.answer, e.transaction_id::text::bigint
FROM unnest(%(key_digests)s::uuid[]) AS wanted (key_digest) JOIN events AS e USING (key_digest);

-- name: read_payments
-- Payments as they are stored.
SELECT p.merchant_id, p.payment_id, p.status, p.currency, p.exponent, p.amount_minor,
    p.captured_minor, p.refunded_minor, p.fee_minor, p.source, p.reference, p.description,
    p.decline_code, p.created_at, p.captured_at, p.expires_at, p.source_key
FROM unnest(%(payment_ids)s::uuid[]) AS wanted (payment_id) JOIN payments AS p USING (payment_id);

-- name: find_same_purchases
-- Payments that one database took after a time, from the same source, with the same amount and
-- reference as a payment that it does not have.
SELECT wanted.payment_id, p.payment_id
FROM unnest(%(payment_ids)s::uuid[], %(source_keys)s::bigint[], %(amounts_minor)s::bigint[],
    %(refs)s::text[]) AS wanted (payment_id, source_key, amount_minor, reference)
JOIN payments AS p ON p.source_key = wanted.source_key AND p.created_at > %(since)s
    AND p.amount_minor = wanted.amount_minor AND p.reference IS NOT DISTINCT FROM wanted.reference
WHERE p.status <> 'declined' AND p.payment_id <> ALL (%(payment_ids)s::uuid[]);

-- name: digest_payments
-- One digest of all payments' rows for each 65 seconds of their ids (UUIDv7: milliseconds).
SELECT left(payment_id::text, 8) AS range, count(*), sum(hashtextextended(concat_ws('|', merchant_id,
    payment_id, status, currency, amount_minor, captured_minor, refunded_minor, fee_minor, source,
    reference, decline_code, extract(epoch FROM created_at)), 0))::text
FROM payments GROUP BY 1;

-- name: list_payments_of_ranges
-- The payments in ranges of ids, each with a digest of its row.
SELECT payment_id, hashtextextended(concat_ws('|', merchant_id,
    payment_id, status, currency, amount_minor, captured_minor, refunded_minor, fee_minor, source,
    reference, decline_code, extract(epoch FROM created_at)), 0)
FROM payments WHERE left(payment_id::text, 8) = ANY (%(ranges)s::text[]);

-- name: digest_transfers
-- The same for the ledger, by what the transfers are for.
SELECT left(subject_id::text, 8) AS range, count(*), sum(hashtextextended(concat_ws('|', subject_id,
    sequence, merchant_id, currency, kind, debit, credit, amount_minor, fee_minor), 0))::text
FROM transfers GROUP BY 1;

-- name: list_subjects_of_ranges
-- The subjects of transfers in ranges of ids, each with a digest of its transfers.
SELECT subject_id, sum(hashtextextended(concat_ws('|', sequence, merchant_id, currency, kind, debit,
    credit, amount_minor, fee_minor), 0))::text, min(kind)
FROM transfers WHERE left(subject_id::text, 8) = ANY (%(ranges)s::text[]) GROUP BY 1;

-- name: read_merchants
-- Who may charge, and where they want to be told.
SELECT 'merchant', m.merchant_id::text, m.name,
    concat_ws('|', m.name, m.active, m.terms)
FROM merchants AS m
UNION ALL
SELECT 'api key', encode(k.key_digest, 'hex'), k.hint,
    concat_ws('|', k.merchant_id, k.scopes, k.revoked_at IS NULL)
FROM api_keys AS k
UNION ALL
SELECT 'webhook', w.endpoint_id::text, w.url,
    concat_ws('|', w.merchant_id, w.url, w.types, md5(w.secret))
FROM webhook_endpoints AS w;

-- name: read_told
-- Who was told of these events before the region was lost: the receivers that have taken them off
-- the outbox (1 the log, 2 the webhooks, 4 the topic), and how many endpoints are still to be told.
SELECT e.event_id, coalesce(bit_or(o.pending), 0), count(DISTINCT d.endpoint_id),
    (SELECT count(*) FROM webhook_endpoints AS w WHERE w.merchant_id = e.merchant_id
        AND w.disabled_reason IS NULL AND (w.types IS NULL OR e.type = ANY (w.types))),
    (SELECT term_id IS NOT NULL FROM relay_terms WHERE receiver = 1),
    (SELECT term_id IS NOT NULL FROM relay_terms WHERE receiver = 4)
FROM unnest(%(event_ids)s::uuid[]) AS wanted (event_id)
JOIN events AS e USING (event_id)
LEFT JOIN outbox AS o ON o.transaction_id = e.transaction_id AND e.event_id = ANY (o.event_ids)
LEFT JOIN webhook_deliveries AS d ON d.event_id = e.event_id
GROUP BY e.event_id, e.merchant_id, e.type;

-- name: read_reconciled
-- What was decided and done before.
SELECT step_id, difference_id, proposal_id, subject, decision, approved_by, epoch, adjustment_id,
    applied_at
FROM reconciliations ORDER BY applied_at, step_id;

-- name: check_entries
-- Transfers whose entries do not sum to zero. There are none: a row cannot hold one.
SELECT count(*) FROM (
    SELECT FROM ledger_entries GROUP BY subject_id, sequence, currency HAVING sum(amount_minor) <> 0
) AS found;

-- name: check_balances
-- Balances that are not the sum of their entries.
WITH stored AS (
    SELECT merchant_id, currency, account, amount FROM current_balances
    CROSS JOIN LATERAL (VALUES ('acquirer_receivable', acquirer_receivable),
        ('authorization_holds', authorization_holds), ('merchant_pending', merchant_pending),
        ('merchant_available', merchant_available), ('fees', fees),
        ('refunds_payable', refunds_payable)) AS a (account, amount)
), counted AS (
    SELECT merchant_id, currency, account, sum(amount_minor)::bigint AS amount
    FROM ledger_entries GROUP BY merchant_id, currency, account
)
SELECT count(*) FROM stored FULL JOIN counted USING (merchant_id, currency, account)
WHERE coalesce(stored.amount, 0) <> coalesce(counted.amount, 0);

-- name: check_refunds
-- Payments whose refunds are not what they say, or whose hold and captures are not their transfers.
SELECT count(*) FROM payments AS p
LEFT JOIN LATERAL (
    SELECT coalesce(sum(amount_minor), 0) AS refunded FROM refunds AS r
    WHERE r.merchant_id = p.merchant_id AND r.payment_id = p.payment_id
) AS r ON true
LEFT JOIN LATERAL (
    SELECT coalesce(sum(amount_minor) FILTER (WHERE kind = 2), 0) AS captured,
        coalesce(sum(amount_minor) FILTER (WHERE kind = 4), 0) AS refunded
    FROM transfers AS t WHERE t.subject_id = p.payment_id
) AS t ON true
WHERE r.refunded <> p.refunded_minor OR t.refunded <> p.refunded_minor
    OR t.captured <> p.captured_minor;

-- name: lock_keys
-- Wait for whoever works on these keys; a repeat that comes meanwhile is told to try again.
SELECT pg_advisory_xact_lock(lock) FROM unnest(%(locks)s::bigint[]) AS lock ORDER BY lock;

-- name: begin_step
-- Note a step as done, in the transaction that does it; answers nothing when it was done before.
INSERT INTO reconciliations (step_id, difference_id, proposal_id, subject, decision, approved_by,
    epoch, adjustment_id)
VALUES (%(step_id)s, %(difference_id)s, %(proposal_id)s, %(subject)s, %(decision)s,
    %(approved_by)s, %(of_epoch)s, %(adjustment_id)s)
ON CONFLICT (step_id) DO NOTHING RETURNING clock_timestamp();

-- name: check_authority
-- Refuse to go on in another epoch than the database's, or after the lease's end.
SELECT check_authority(%(of_epoch)s, %(lease_end)s);

-- name: lock_payment
-- Lock a payment of the new primary; answers its row and whether it is settled.
SELECT (payment).merchant_id, (payment).payment_id, (payment).status, (payment).currency,
    (payment).exponent, (payment).amount_minor, (payment).captured_minor,
    (payment).refunded_minor, (payment).fee_minor, (payment).source, (payment).reference,
    (payment).description, (payment).decline_code, (payment).created_at, (payment).captured_at,
    (payment).expires_at, locked_at, coalesce(settled, false)
FROM lock_payment(%(merchant_id)s, %(payment_id)s);

-- name: record_payment
-- Record a lost payment again, with entries of today.
SELECT record_payments(%(recorded_at)s, ARRAY[%(merchant_id)s::bigint], ARRAY[%(payment_id)s::uuid],
    ARRAY[%(event_id)s::uuid], ARRAY[%(key_digest)s::uuid], ARRAY[%(body_digest)s::uuid],
    ARRAY[%(source_key)s::bigint], ARRAY[%(status)s::text], ARRAY[%(currency)s::text],
    ARRAY[%(exponent)s::smallint], ARRAY[%(amount_minor)s::bigint],
    ARRAY[%(captured_minor)s::bigint], ARRAY[%(fee_minor)s::bigint], ARRAY[%(source)s::text],
    ARRAY[%(reference)s::text], ARRAY[%(description)s::text], ARRAY[%(decline_code)s::text],
    ARRAY[0::bigint], ARRAY[%(answer)s::text], ARRAY[%(kind)s::smallint],
    ARRAY[%(debit)s::smallint], ARRAY[%(credit)s::smallint], %(of_epoch)s, %(lease_end)s);

-- name: record_move
-- Record a lost move of a payment again, with entries of today.
SELECT record_moves(%(recorded_at)s, ARRAY[%(merchant_id)s::bigint], ARRAY[%(payment_id)s::uuid],
    ARRAY[%(event_id)s::uuid], ARRAY[%(key_digest)s::uuid], ARRAY[%(body_digest)s::uuid],
    ARRAY[%(type)s::text], ARRAY[%(status)s::text], ARRAY[%(captured_minor)s::bigint],
    ARRAY[%(refunded_minor)s::bigint], ARRAY[%(fee_minor)s::bigint], ARRAY[%(refund_id)s::uuid],
    ARRAY[%(refund_amount_minor)s::bigint], ARRAY[%(answer)s::text], %(subject_ids)s::uuid[],
    %(ordinals)s::integer[], %(merchant_ids)s::bigint[], %(currencies)s::text[],
    %(kinds)s::smallint[], %(debits)s::smallint[], %(credits)s::smallint[],
    %(amounts_minor)s::bigint[], %(fees_minor)s::bigint[], %(of_epoch)s, %(lease_end)s);

-- name: restore_event_time
-- A repeated event tells when it happened; its place in the list is that of the repeat.
UPDATE events SET created_at = %(created_at)s
WHERE merchant_id = %(merchant_id)s AND transaction_id = pg_current_xact_id()
    AND event_id = %(event_id)s;

-- name: restore_payment_times
-- A repeated payment was made when its answer says, and expires when it says. It was captured now:
-- the settlement goes by that, and must not have passed it already.
UPDATE payments SET created_at = %(created_at)s, expires_at = %(expires_at)s
WHERE merchant_id = %(merchant_id)s AND payment_id = %(payment_id)s;

-- name: post_transfers
-- Post the entries of an adjustment.
SELECT post_transfers(%(posted_at)s, %(subject_ids)s::uuid[], %(sequences)s::integer[],
    %(merchant_ids)s::bigint[], %(currencies)s::text[], %(kinds)s::smallint[],
    %(debits)s::smallint[], %(credits)s::smallint[], %(amounts_minor)s::bigint[],
    %(fees_minor)s::bigint[]);
