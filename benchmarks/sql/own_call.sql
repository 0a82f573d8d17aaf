-- B*: one payment as one function call on Evertill's own tables, for pgbench.
\set m random_zipfian(1, :merchants, 1.05)
\set c random(1, :currencies)
\set amount random(100, 100000)
\set s random(1, 9000000000000000000)
SELECT benchmark.take_payment(:m, (ARRAY['USD', 'EUR', 'JPY'])[:c], :amount, :s, 'tok_' || :s::text, md5(:s::text)::uuid, 'order-' || :s::text);
