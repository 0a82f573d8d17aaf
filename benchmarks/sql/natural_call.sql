-- B: the natural transaction as one function call, for pgbench.
\set m random_zipfian(1, :merchants, 1.05)
\set c random(1, :currencies)
\set amount random(100, 100000)
\set s random(1, 9000000000000000000)
SELECT textbook.take_payment(:m, (ARRAY['USD', 'EUR', 'JPY'])[:c], :amount, 'tok_' || :s::text, 'order-' || :s::text, 'order-' || :s::text);
