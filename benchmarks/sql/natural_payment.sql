-- A: the natural one-payment transaction, for pgbench.
\set m random_zipfian(1, :merchants, 1.05)
\set c random(1, :currencies)
\set amount random(100, 100000)
\set s random(1, 9000000000000000000)
BEGIN;
SELECT answer FROM textbook.idempotency_keys WHERE merchant_id = :m AND key = 'order-' || :s::text;
SELECT count(*) FILTER (WHERE created_at > now() - interval '1 minute'), count(*) FILTER (WHERE created_at > now() - interval '1 hour'), count(*), sum(amount_minor) FROM textbook.payments WHERE merchant_id = :m AND source = 'tok_' || :s::text AND created_at > now() - interval '24 hours';
INSERT INTO textbook.payments (merchant_id, status, currency, amount_minor, fee_minor, source, reference) VALUES (:m, 'captured', (ARRAY['USD', 'EUR', 'JPY'])[:c], :amount::bigint, :amount::bigint * 29 / 1000, 'tok_' || :s::text, 'order-' || :s::text) RETURNING payment_id \gset
INSERT INTO textbook.ledger_entries (payment_id, account, merchant_id, currency, amount_minor) VALUES (:payment_id::uuid, 'acquirer_receivable', :m, (ARRAY['USD', 'EUR', 'JPY'])[:c], -(:amount::bigint)), (:payment_id::uuid, 'merchant_pending', :m, (ARRAY['USD', 'EUR', 'JPY'])[:c], :amount::bigint - :amount::bigint * 29 / 1000), (:payment_id::uuid, 'fees', :m, (ARRAY['USD', 'EUR', 'JPY'])[:c], :amount::bigint * 29 / 1000);
INSERT INTO textbook.idempotency_keys (merchant_id, key, request_hash, answer) VALUES (:m, 'order-' || :s::text, '\x00112233445566778899aabbccddeeff', repeat('x', 350));
INSERT INTO textbook.outbox (payment_id, payload) VALUES (:payment_id::uuid, ('{"data":"' || repeat('x', 350) || '"}')::json);
INSERT INTO textbook.account_balances AS b (merchant_id, currency, account, balance_minor) VALUES (:m, (ARRAY['USD', 'EUR', 'JPY'])[:c], 'acquirer_receivable', -(:amount::bigint)), (:m, (ARRAY['USD', 'EUR', 'JPY'])[:c], 'merchant_pending', :amount::bigint - :amount::bigint * 29 / 1000), (:m, (ARRAY['USD', 'EUR', 'JPY'])[:c], 'fees', :amount::bigint * 29 / 1000) ON CONFLICT (merchant_id, currency, account) DO UPDATE SET balance_minor = b.balance_minor + excluded.balance_minor;
COMMIT;
