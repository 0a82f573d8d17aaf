-- A*: one payment as statements of its own on Evertill's own tables, for pgbench.
\set m random_zipfian(1, :merchants, 1.05)
\set c random(1, :currencies)
\set amount random(100, 100000)
\set s random(1, 9000000000000000000)
BEGIN;
SELECT answer FROM evertill.events WHERE key_digest = md5(:s::text)::uuid;
SELECT count(*) FILTER (WHERE created_at > now() - interval '1 minute'), count(*) FILTER (WHERE created_at > now() - interval '1 hour'), count(*), sum(amount_minor) FROM evertill.payments WHERE source_key = :s AND created_at > now() - interval '24 hours';
INSERT INTO evertill.payments (merchant_id, payment_id, status, currency, exponent, amount_minor, captured_minor, fee_minor, source_key, source, reference, created_at, captured_at) VALUES (:m, uuidv7(), 'captured', (ARRAY['USD', 'EUR', 'JPY'])[:c], 2, :amount::bigint, :amount::bigint, :amount::bigint * 29 / 1000, :s, 'tok_' || :s::text, 'order-' || :s::text, now(), now()) RETURNING payment_id \gset
INSERT INTO evertill.events (merchant_id, event_id, payment_id, type, key_digest, body_digest, created_at, answer) VALUES (:m, uuidv7(), :payment_id::uuid, 'payment.captured', md5(:s::text)::uuid, md5(:s::text)::uuid, now(), repeat('x', 350)) RETURNING event_id \gset
INSERT INTO evertill.transfers (subject_id, sequence, merchant_id, currency, kind, debit, credit, amount_minor, fee_minor, created_at) VALUES (:payment_id::uuid, 1, :m, (ARRAY['USD', 'EUR', 'JPY'])[:c], 2, 1, 3, :amount::bigint, :amount::bigint * 29 / 1000, now());
INSERT INTO evertill.outbox (created_at, merchant_ids, event_ids) VALUES (now(), ARRAY[:m::bigint], ARRAY[:event_id::uuid]);
INSERT INTO evertill.balances AS b (merchant_id, currency, acquirer_receivable, merchant_pending, fees) VALUES (:m, (ARRAY['USD', 'EUR', 'JPY'])[:c], -(:amount::bigint), :amount::bigint - :amount::bigint * 29 / 1000, :amount::bigint * 29 / 1000) ON CONFLICT (merchant_id, currency) DO UPDATE SET acquirer_receivable = b.acquirer_receivable + excluded.acquirer_receivable, merchant_pending = b.merchant_pending + excluded.merchant_pending, fees = b.fees + excluded.fees;
COMMIT;
