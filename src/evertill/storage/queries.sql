-- Every statement that the service sends, by name.

-- name: begin
BEGIN;

-- name: commit
COMMIT;

-- name: rollback
ROLLBACK;

-- name: try_locks
-- Try to take advisory locks for this transaction; answer the positions of those that somebody else
-- holds. It never waits: a key or a source at work elsewhere must not hold up its neighbours.
SELECT position FROM (
    SELECT unnest(%(locks)s::bigint[]) AS lock,
        generate_series(1, cardinality(%(locks)s::bigint[])) AS position
) AS k
WHERE NOT pg_try_advisory_xact_lock(lock);

-- name: read_clock
-- The database's time, asked for once the locks are held.
SELECT clock_timestamp();

-- name: find_answers
-- What was answered to these keys before.
SELECT key_digest, e.body_digest, e.payment_id, e.event_id, e.created_at, e.answer
FROM unnest(%(key_digests)s::uuid[]) AS k (key_digest)
JOIN events AS e USING (key_digest);

-- name: find_history
-- Attempts and approved sums of these sources over the sliding windows, and what was approved
-- within the last minute. Looks at no more rows of a source than the largest limit on attempts
-- (ATTEMPTS_LIMIT_MAX in domain/rules.py).
SELECT source_key,
    count(*) FILTER (WHERE p.created_at > at - interval '1 minute'),
    count(*) FILTER (WHERE p.created_at > at - interval '1 hour'),
    count(*),
    coalesce(sum(amount_minor) FILTER (WHERE approved
        AND p.created_at > at - interval '1 minute'), 0)::bigint,
    coalesce(sum(amount_minor) FILTER (WHERE approved
        AND p.created_at > at - interval '1 hour'), 0)::bigint,
    coalesce(sum(amount_minor) FILTER (WHERE approved), 0)::bigint,
    array_agg(amount_minor) FILTER (WHERE approved AND p.created_at > at - interval '1 minute'),
    array_agg(reference) FILTER (WHERE approved AND p.created_at > at - interval '1 minute')
FROM (SELECT clock_timestamp() AS at OFFSET 0) AS now
CROSS JOIN unnest(%(source_keys)s::bigint[]) AS source_key
CROSS JOIN LATERAL (
    SELECT created_at, amount_minor, reference, status <> 'declined' AS approved
    FROM payments
    WHERE payments.source_key = source_key.source_key
        AND created_at > at - interval '24 hours'
    ORDER BY created_at DESC
    LIMIT 1000
) AS p
GROUP BY source_key;

-- name: record_payments
-- Record a batch of decided payments.
SELECT record_payments(%(recorded_at)s, %(merchant_ids)s, %(payment_ids)s,
    %(event_ids)s, %(key_digests)s, %(body_digests)s, %(source_keys)s, %(statuses)s,
    %(currencies)s, %(exponents)s, %(amounts_minor)s, %(captured_minor)s, %(fees_minor)s,
    %(sources)s, %(refs)s, %(descriptions)s, %(decline_codes)s, %(lifetimes_s)s, %(answers)s,
    %(kinds)s, %(debits)s, %(credits)s, %(of_epoch)s, %(lease_end)s);

-- name: lock_payment
-- Lock one payment; answer its row, the time after the lock, and whether it is settled.
SELECT (payment).merchant_id, (payment).payment_id, (payment).status, (payment).currency,
    (payment).exponent, (payment).amount_minor, (payment).captured_minor,
    (payment).refunded_minor, (payment).fee_minor, (payment).source, (payment).reference,
    (payment).description, (payment).decline_code, (payment).created_at, (payment).captured_at,
    (payment).expires_at, locked_at, coalesce(settled, false)
FROM lock_payment(%(merchant_id)s, %(payment_id)s);

-- name: lock_expired
-- Lock authorizations that are over and that no other task is working on.
SELECT (payment).merchant_id, (payment).payment_id, (payment).status, (payment).currency,
    (payment).exponent, (payment).amount_minor, (payment).captured_minor,
    (payment).refunded_minor, (payment).fee_minor, (payment).source, (payment).reference,
    (payment).description, (payment).decline_code, (payment).created_at, (payment).captured_at,
    (payment).expires_at, locked_at
FROM lock_expired(%(most)s);

-- name: record_moves
-- Record moves of locked payments.
SELECT record_moves(%(recorded_at)s, %(merchant_ids)s, %(payment_ids)s, %(event_ids)s,
    %(key_digests)s, %(body_digests)s, %(types)s, %(statuses)s, %(captured)s, %(refunded)s,
    %(fees)s, %(refund_ids)s, %(refund_amounts_minor)s, %(answers)s, %(subject_ids)s,
    %(ordinals)s, %(transfer_merchant_ids)s, %(currencies)s, %(kinds)s, %(debits)s, %(credits)s,
    %(amounts_minor)s, %(transfer_fees_minor)s, %(of_epoch)s, %(lease_end)s);

-- name: settle_captures
-- Settle what was captured up to a time; answer how many merchants and currencies were moved.
SELECT settle_captures(%(run_id)s, clock_timestamp() - %(delay)s::interval, %(of_epoch)s,
    %(lease_end)s);

-- name: raise_epoch
-- Bring the database to a later epoch of the write lease; answer whether it is in it now.
SELECT raise_epoch(%(epoch)s, %(region)s);

-- name: get_payment
-- One payment of one merchant.
SELECT merchant_id, payment_id, status, currency, exponent, amount_minor, captured_minor,
    refunded_minor, fee_minor, source, reference, description, decline_code, created_at,
    captured_at, expires_at
FROM payments
WHERE merchant_id = %(merchant_id)s AND payment_id = %(payment_id)s;

-- name: list_payments
-- A merchant's payments before a given one, newest first.
SELECT merchant_id, payment_id, status, currency, exponent, amount_minor, captured_minor,
    refunded_minor, fee_minor, source, reference, description, decline_code, created_at,
    captured_at, expires_at
FROM payments
WHERE merchant_id = %(merchant_id)s AND payment_id < %(before)s
ORDER BY payment_id DESC
LIMIT %(most)s;

-- name: list_events
-- A merchant's events after a given one, oldest first, up to where no commit can still appear.
SELECT transaction_id::text::bigint, event_id, type, payment_id, created_at, answer
FROM events
WHERE merchant_id = %(merchant_id)s
    AND (transaction_id, event_id) > (%(after_transaction)s::text::xid8, %(after)s)
    AND transaction_id < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY transaction_id, event_id
LIMIT %(most)s;

-- name: list_balances
-- A merchant's balances.
SELECT currency, acquirer_receivable, authorization_holds, merchant_pending, merchant_available,
    fees, refunds_payable
FROM current_balances
WHERE merchant_id = %(merchant_id)s
ORDER BY currency;

-- name: fold_balances
-- Fold posted batches into stored balances; answer how many.
SELECT fold_balances(%(most)s);

-- name: forget_validations
-- Delete old decisions of the validation function; answer how many.
SELECT forget_validations(%(most)s);

-- name: begin_term
-- Begin to hold the outbox for a receiver; answer where the log stands, or nothing.
SELECT head_region, head_chain, head_sequence, head_hash
FROM begin_term(%(receiver)s::smallint, %(term)s::uuid, %(lease)s::interval);

-- name: claim_outbox
-- Go on holding the outbox; answer the time and the oldest batches, or nothing.
SELECT claimed_at, batch_ids
FROM claim_outbox(%(receiver)s::smallint, %(term)s::uuid, %(lease)s::interval, %(most)s::integer);

-- name: read_outbox
-- The events of claimed batches, in the order in which they were taken.
SELECT e.merchant_id, e.event_id, e.payment_id, e.type, e.created_at, e.answer
FROM outbox AS o
CROSS JOIN LATERAL unnest(o.merchant_ids, o.event_ids) WITH ORDINALITY
    AS named (merchant_id, event_id, position)
JOIN events AS e ON e.merchant_id = named.merchant_id AND e.transaction_id = o.transaction_id
    AND e.event_id = named.event_id
WHERE o.batch_id = ANY (%(batch_ids)s::bigint[])
ORDER BY o.batch_id, named.position;

-- name: settle_outbox
-- Note that a receiver has taken batches; answer whether the term was still the caller's.
SELECT settle_outbox(%(receiver)s::smallint, %(term)s::uuid, %(served)s::smallint,
    %(batch_ids)s::bigint[], %(region)s::text, %(sequence)s::integer, %(hash)s::text);

-- name: measure_outbox
-- For each receiver: how many batches wait, roughly, and for how many seconds the oldest has.
SELECT receiver, coalesce(newest - oldest + 1, 0),
    coalesce(extract(epoch FROM clock_timestamp()
        - (SELECT created_at FROM outbox WHERE batch_id = oldest)), 0)::float8
FROM (
    SELECT 1 AS receiver, (SELECT min(batch_id) FROM outbox WHERE pending & 1 <> 0) AS oldest,
        (SELECT max(batch_id) FROM outbox WHERE pending & 1 <> 0) AS newest
    UNION ALL
    SELECT 2, (SELECT min(batch_id) FROM outbox WHERE pending & 2 <> 0),
        (SELECT max(batch_id) FROM outbox WHERE pending & 2 <> 0)
    UNION ALL
    SELECT 4, (SELECT min(batch_id) FROM outbox WHERE pending & 4 <> 0),
        (SELECT max(batch_id) FROM outbox WHERE pending & 4 <> 0)
) AS ends;

-- name: fan_out_webhooks
-- Copy events to the deliveries of the endpoints that want them; answer whether there are more.
SELECT fan_out_webhooks(%(served)s::smallint, %(most)s::integer);

-- name: claim_deliveries
-- Deliveries that are due, a few of each endpoint that is not busy.
SELECT endpoint_id, event_id, url, secrets, attempts, type, created_at, answer
FROM claim_deliveries(%(busy)s::uuid[], %(each)s::integer, %(most)s::integer, %(lease)s::interval);

-- name: finish_delivery
-- Note how a delivery went.
SELECT finish_delivery(%(endpoint_id)s::uuid, %(event_id)s::uuid, %(error)s::text,
    %(later)s::interval, %(pause)s::interval, %(disable)s::text);

-- name: measure_webhooks
-- How many deliveries wait and how many are dead letters, counted up to `most`, and for how many
-- seconds the one that is due longest has been due.
SELECT (SELECT count(*) FROM (SELECT FROM webhook_deliveries WHERE due_at IS NOT NULL
        LIMIT %(most)s) AS waiting),
    (SELECT count(*) FROM (SELECT FROM webhook_deliveries WHERE due_at IS NULL
        LIMIT %(most)s) AS dead),
    coalesce(greatest(extract(epoch FROM clock_timestamp() - min(oldest.due_at)), 0), 0)::float8
FROM webhook_endpoints AS w
CROSS JOIN LATERAL (
    SELECT due_at FROM webhook_deliveries AS d
    WHERE d.endpoint_id = w.endpoint_id AND due_at IS NOT NULL
    ORDER BY due_at LIMIT 1
) AS oldest
WHERE w.disabled_reason IS NULL;

-- name: list_webhooks
-- A merchant's endpoints, or the one that is named.
SELECT endpoint_id, url, types, disabled_reason, created_at
FROM webhook_endpoints
WHERE merchant_id = %(merchant_id)s
    AND (%(endpoint_id)s::uuid IS NULL OR endpoint_id = %(endpoint_id)s::uuid)
ORDER BY endpoint_id;

-- name: create_webhook
-- Create an endpoint; answer whether there was room for it.
SELECT create_webhook(%(merchant_id)s::bigint, %(endpoint_id)s::uuid, %(url)s::text,
    %(types)s::text[], %(secret)s::text, %(most)s::integer);

-- name: remove_webhook
-- Forget an endpoint; answer whether it was there.
SELECT remove_webhook(%(merchant_id)s::bigint, %(endpoint_id)s::uuid);

-- name: rotate_webhook
-- Give an endpoint a new secret; answer whether it is there.
SELECT rotate_webhook(%(merchant_id)s::bigint, %(endpoint_id)s::uuid, %(secret)s::text,
    %(overlap)s::interval);

-- name: enable_webhook
-- Tell an endpoint again; answer whether it is there.
SELECT enable_webhook(%(merchant_id)s::bigint, %(endpoint_id)s::uuid);

-- name: redeliver_event
-- Deliver an event once more; answer whether both are there.
SELECT redeliver_event(%(merchant_id)s::bigint, %(endpoint_id)s::uuid, %(event_id)s::uuid);

-- name: list_dead_letters
-- What an endpoint was not told, oldest first.
SELECT d.event_id, e.type, e.payment_id, d.attempts, d.attempted_at, d.error
FROM webhook_deliveries AS d
JOIN events AS e ON e.merchant_id = d.merchant_id AND e.transaction_id = d.transaction_id
    AND e.event_id = d.event_id
WHERE d.merchant_id = %(merchant_id)s AND d.endpoint_id = %(endpoint_id)s::uuid
    AND d.due_at IS NULL
ORDER BY d.attempted_at
LIMIT %(most)s;

-- name: find_principals
-- The merchants and the scopes behind digests of API keys.
SELECT k.key_digest, m.merchant_id, m.active, m.terms::text, k.scopes
FROM api_keys AS k
JOIN merchants AS m USING (merchant_id)
WHERE k.key_digest = ANY (%(key_digests)s::bytea[]) AND k.revoked_at IS NULL;

-- name: find_changes
-- Keys whose own row or whose merchant's row changed of late; caches forget them.
SELECT k.key_digest
FROM api_keys AS k
JOIN merchants AS m USING (merchant_id)
WHERE greatest(k.changed_at, m.changed_at) > clock_timestamp() - %(within)s::interval;

-- name: probe
-- Whether this database takes writes, and in which epoch; it answers only when it was migrated.
SELECT NOT pg_is_in_recovery() AND NOT current_setting('transaction_read_only')::boolean, epoch
FROM schema_version, authority;

-- name: save_merchant
-- Create a merchant, or change it.
INSERT INTO merchants (name, active, terms) VALUES (%(name)s, %(active)s, %(terms)s::jsonb)
ON CONFLICT (name) DO UPDATE SET active = excluded.active, terms = excluded.terms,
    changed_at = clock_timestamp()
RETURNING merchant_id;

-- name: create_key
-- Give a merchant one more key.
INSERT INTO api_keys (key_digest, merchant_id, scopes, hint)
SELECT %(key_digest)s, merchant_id, %(scopes)s, %(hint)s FROM merchants WHERE name = %(name)s;

-- name: revoke_key
-- Take keys from a merchant.
UPDATE api_keys SET revoked_at = clock_timestamp(), changed_at = clock_timestamp()
WHERE hint = %(hint)s AND revoked_at IS NULL
    AND merchant_id = (SELECT merchant_id FROM merchants WHERE name = %(name)s);

-- name: find_terms
-- The terms of a merchant.
SELECT terms::text FROM evertill.merchants WHERE name = %(name)s;

-- name: is_superuser
-- Whether a login may do anything, and so needs no grant.
SELECT rolsuper FROM pg_roles WHERE rolname = %(user)s;
