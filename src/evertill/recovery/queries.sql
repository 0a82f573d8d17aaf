-- What recovery asks of the databases, and the two things that it changes there. Aurora has functions
-- of its own for a global database, which no other PostgreSQL knows; who asks looks for them first.

-- name: standing
-- Whether a server takes writes, and in which epoch of the lease.
SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean, epoch, region
FROM evertill.authority;

-- name: position
-- How far a server's data reaches: its last commit, and the payments of the minute before that one.
-- A BRIN index finds both without reading the ledger.
WITH recent AS (
    SELECT subject_id, amount_minor, currency, created_at
    FROM evertill.transfers
    WHERE created_at > clock_timestamp() - interval '15 minutes' AND sequence = 1 AND kind <= 2
), last AS (
    SELECT max(created_at) AS payment_at FROM recent
)
SELECT coalesce(pg_last_xact_replay_timestamp(), last.payment_at) AS commit_at, last.payment_at,
    clock_timestamp() AS asked_at,
    (SELECT count(*) FROM recent WHERE created_at > last.payment_at - interval '1 minute'),
    (SELECT jsonb_object_agg(currency, total)::text FROM (
        SELECT currency, sum(amount_minor) AS total FROM recent
        WHERE created_at > last.payment_at - interval '1 minute' GROUP BY currency
    ) AS sums)
FROM last;

-- name: has_global_status
-- Whether this is a server of an Aurora global database.
SELECT EXISTS (SELECT FROM pg_proc WHERE proname = 'aurora_global_db_status');

-- name: global_status
-- How far each region's storage is behind, as Aurora tells it.
-- https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database-monitoring.html
SELECT aws_region, durability_lag_in_msec FROM aurora_global_db_status();

-- name: raise_epoch
-- Refuse every commit of an earlier epoch from now on. Waits for those that are at it.
SELECT evertill.raise_epoch(%(epoch)s, %(region)s);

-- name: write_in_epoch
-- Commit something that changes nothing, on the condition that the epoch is this one: only a server
-- that takes writes, and has whom it needs for durability, comes through.
UPDATE evertill.authority SET region = region WHERE epoch = %(epoch)s RETURNING epoch;
