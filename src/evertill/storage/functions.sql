-- The only ways to write, each a function that the service's role may call and that runs with its
-- owner's rights. They are replaced whole at every migration.
--
-- Arrays are columns: element n of each array belongs to payment n. They are unnested side by side
-- in a SELECT list, which streams; the same in FROM is gathered in a table first and costs a tenth
-- of the whole function. The service's sessions use generic plans and avoid sequential scans, so that
-- a plan made while the tables were empty is still good when they are not.

-- Add what batches posted to the stored balances, and forget that they were unfolded. What each pair
-- of accounts moved is summed before it is told apart by account, and gathered once for both of the
-- statements that need it: that halves the time, and this runs beside the payments.
CREATE OR REPLACE FUNCTION fold(ids bigint[])
RETURNS void LANGUAGE plpgsql SET search_path = evertill, pg_temp AS $$
DECLARE
    posted_merchants bigint[];
    posted_currencies text[];
    receivables bigint[];
    holds bigint[];
    pendings bigint[];
    availables bigint[];
    posted_fees bigint[];
    payables bigint[];
BEGIN
    SELECT array_agg(merchant_id), array_agg(currency), array_agg(receivable), array_agg(hold),
        array_agg(pending), array_agg(available), array_agg(fee), array_agg(payable)
    INTO posted_merchants, posted_currencies, receivables, holds, pendings, availables,
        posted_fees, payables
    FROM (
        SELECT merchant_id, currency,
            sum(CASE 1 WHEN debit THEN -amount WHEN credit THEN net ELSE 0 END)::bigint
                AS receivable,
            sum(CASE 2 WHEN debit THEN -amount WHEN credit THEN net ELSE 0 END)::bigint AS hold,
            sum(CASE 3 WHEN debit THEN -amount WHEN credit THEN net ELSE 0 END)::bigint AS pending,
            sum(CASE 4 WHEN debit THEN -amount WHEN credit THEN net ELSE 0 END)::bigint
                AS available,
            sum(CASE 5 WHEN debit THEN -amount WHEN credit THEN net ELSE 0 END + amount - net)::bigint AS fee,
            sum(CASE 6 WHEN debit THEN -amount WHEN credit THEN net ELSE 0 END)::bigint AS payable
        FROM (
            SELECT merchant_id, currency, debit, credit, sum(amount)::bigint AS amount,
                (sum(amount) - sum(fee))::bigint AS net
            FROM (
                SELECT unnest(merchant_ids) AS merchant_id, unnest(currencies) AS currency,
                    unnest(debits) AS debit, unnest(credits) AS credit,
                    unnest(amounts_minor) AS amount, unnest(fees_minor) AS fee
                FROM unfolded_batches WHERE batch_id = ANY (ids)
            ) AS t
            WHERE debit IS NOT NULL
            GROUP BY merchant_id, currency, debit, credit
        ) AS moved
        GROUP BY merchant_id, currency
    ) AS posted;

    INSERT INTO balances (merchant_id, currency)
    SELECT p.merchant_id, p.currency
    FROM (SELECT unnest(posted_merchants) AS merchant_id, unnest(posted_currencies) AS currency) AS p
    WHERE NOT EXISTS (SELECT FROM balances AS b
        WHERE b.merchant_id = p.merchant_id AND b.currency = p.currency)
    ON CONFLICT DO NOTHING;

    UPDATE balances AS stored SET
        acquirer_receivable = acquirer_receivable + receivable,
        authorization_holds = authorization_holds + hold,
        merchant_pending = merchant_pending + pending,
        merchant_available = merchant_available + available,
        fees = fees + fee,
        refunds_payable = refunds_payable + payable
    FROM (
        SELECT unnest(posted_merchants) AS merchant_id, unnest(posted_currencies) AS currency,
            unnest(receivables) AS receivable, unnest(holds) AS hold, unnest(pendings) AS pending,
            unnest(availables) AS available, unnest(posted_fees) AS fee,
            unnest(payables) AS payable
    ) AS posted
    WHERE stored.merchant_id = posted.merchant_id AND stored.currency = posted.currency;

    DELETE FROM unfolded_batches WHERE batch_id = ANY (ids);
END
$$;

-- Fold up to so many batches, oldest first; answer how many. Only one session folds at a time and
-- the others leave it to that one, so it is safe to run on many tasks.
CREATE OR REPLACE FUNCTION fold_balances(most integer)
RETURNS integer LANGUAGE plpgsql SECURITY DEFINER
SET search_path = evertill, pg_temp AS $$
DECLARE
    ids bigint[];
BEGIN
    IF NOT pg_try_advisory_xact_lock('balances'::regclass::integer, 0) THEN
        RETURN 0;
    END IF;
    SELECT array_agg(batch_id) INTO ids
    FROM (SELECT batch_id FROM unfolded_batches ORDER BY batch_id LIMIT most) AS oldest;
    PERFORM fold(ids) WHERE ids IS NOT NULL;
    RETURN coalesce(cardinality(ids), 0);
END
$$;

-- Append transfers and what they change in balances. What moves available money is folded at once,
-- because its guard is a check on the stored balance.
CREATE OR REPLACE FUNCTION post_transfers(
    posted_at timestamptz, subject_ids uuid[], sequences integer[], merchant_ids bigint[],
    currencies text[], kinds smallint[], debits smallint[], credits smallint[],
    amounts_minor bigint[], fees_minor bigint[]
) RETURNS void LANGUAGE plpgsql SET search_path = evertill, pg_temp AS $$
DECLARE
    posted_id bigint;
BEGIN
    INSERT INTO transfers (subject_id, sequence, merchant_id, currency, kind, debit, credit,
        amount_minor, fee_minor, created_at)
    SELECT subject_id, sequence, merchant_id, currency, kind, debit, credit, amount, fee, posted_at
    FROM (
        SELECT unnest(subject_ids) AS subject_id, unnest(sequences) AS sequence,
            unnest(merchant_ids) AS merchant_id, unnest(currencies) AS currency,
            unnest(kinds) AS kind, unnest(debits) AS debit, unnest(credits) AS credit,
            unnest(amounts_minor) AS amount, unnest(fees_minor) AS fee
    ) AS t
    WHERE kind IS NOT NULL;

    INSERT INTO unfolded_batches (merchant_ids, currencies, debits, credits, amounts_minor,
        fees_minor)
    VALUES (post_transfers.merchant_ids, post_transfers.currencies, post_transfers.debits,
        post_transfers.credits, post_transfers.amounts_minor, post_transfers.fees_minor)
    RETURNING batch_id INTO posted_id;

    IF 4 = ANY (debits) OR 4 = ANY (credits) THEN
        PERFORM fold(ARRAY[posted_id]);
    END IF;
END
$$;

-- Refuse to go on in an epoch that is not this database's, or after the lease's end by its clock.
-- Whoever raises the epoch waits for the transactions that passed here, and they for nobody: a row
-- lock in share mode would be joined by ever new writers, and the raise might wait for ever (ADR
-- 0050). To a caller this is what a database that takes no writes says.
CREATE OR REPLACE FUNCTION check_authority(of_epoch bigint, lease_end timestamptz)
RETURNS void LANGUAGE plpgsql SET search_path = evertill, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared('authority'::regclass::oid::integer, 0);
    IF of_epoch IS DISTINCT FROM (SELECT epoch FROM authority) THEN
        RAISE EXCEPTION 'this database is not written in epoch %', of_epoch
            USING ERRCODE = 'read_only_sql_transaction';
    END IF;
    IF lease_end IS NULL OR lease_end <= clock_timestamp() THEN
        RAISE EXCEPTION 'the write lease of epoch % is over', of_epoch
            USING ERRCODE = 'read_only_sql_transaction';
    END IF;
END
$$;

-- Bring this database to a later epoch. When it returns, no transaction of an earlier one can commit
-- any more, and those that did are all there. That is how an old writer is fenced, and how a new
-- one begins. Answers whether the epoch is the one asked for.
CREATE OR REPLACE FUNCTION raise_epoch(to_epoch bigint, of_region text)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = evertill, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock('authority'::regclass::oid::integer, 0);
    UPDATE authority SET epoch = to_epoch, region = of_region WHERE epoch < to_epoch;
    RETURN to_epoch = (SELECT epoch FROM authority);
END
$$;

-- Record decided payments: payment, key, event, transfers and balances of each, or nothing at all.
-- The caller holds the advisory locks of the keys and the sources. kinds is NULL where a payment
-- was declined and posts nothing.
CREATE OR REPLACE FUNCTION record_payments(
    recorded_at timestamptz, merchant_ids bigint[], payment_ids uuid[], event_ids uuid[],
    key_digests uuid[], body_digests uuid[], source_keys bigint[], statuses text[], currencies text[],
    exponents smallint[], amounts_minor bigint[], captured_minor bigint[], fees_minor bigint[],
    sources text[], refs text[], descriptions text[], decline_codes text[], lifetimes_s bigint[],
    answers text[], kinds smallint[], debits smallint[], credits smallint[],
    of_epoch bigint, lease_end timestamptz
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = evertill, pg_temp AS $$
BEGIN
    PERFORM check_authority(of_epoch, lease_end);
    IF EXISTS (
        SELECT FROM (SELECT unnest(statuses) AS status, unnest(kinds) AS kind) AS p
        WHERE (status = 'declined') <> (kind IS NULL)
    ) THEN
        RAISE EXCEPTION 'a payment posts a transfer unless it is declined'
            USING ERRCODE = 'check_violation';
    END IF;

    INSERT INTO payments (merchant_id, payment_id, status, currency, exponent, amount_minor,
        captured_minor, fee_minor, source_key, source, reference, description, decline_code,
        created_at, captured_at, expires_at)
    SELECT merchant_id, payment_id, status, currency, exponent, amount, captured, fee, source_key,
        source, reference, description, decline_code, recorded_at,
        CASE WHEN status = 'captured' THEN recorded_at END,
        CASE WHEN status = 'authorized' THEN recorded_at + lifetime_s * interval '1 second' END
    FROM (
        SELECT unnest(merchant_ids) AS merchant_id, unnest(payment_ids) AS payment_id,
            unnest(statuses) AS status, unnest(currencies) AS currency,
            unnest(exponents) AS exponent, unnest(amounts_minor) AS amount,
            unnest(captured_minor) AS captured, unnest(fees_minor) AS fee,
            unnest(source_keys) AS source_key, unnest(sources) AS source,
            unnest(refs) AS reference, unnest(descriptions) AS description,
            unnest(decline_codes) AS decline_code, unnest(lifetimes_s) AS lifetime_s
    ) AS p;

    INSERT INTO events (merchant_id, event_id, payment_id, type, key_digest, body_digest,
        created_at, answer)
    SELECT merchant_id, event_id, payment_id, 'payment.' || status, key_digest, body_digest,
        recorded_at, answer
    FROM (
        SELECT unnest(merchant_ids) AS merchant_id, unnest(event_ids) AS event_id,
            unnest(payment_ids) AS payment_id, unnest(statuses) AS status,
            unnest(key_digests) AS key_digest, unnest(body_digests) AS body_digest,
            unnest(answers) AS answer
    ) AS e;

    INSERT INTO outbox (created_at, merchant_ids, event_ids)
    VALUES (recorded_at, record_payments.merchant_ids, record_payments.event_ids);

    PERFORM post_transfers(recorded_at, payment_ids,
        array_fill(1, ARRAY[cardinality(payment_ids)]), merchant_ids, currencies, kinds,
        debits, credits, amounts_minor, fees_minor);
END
$$;

-- Lock one payment and say where it stands at the database's time after the lock, which is the time
-- that decides between a capture and the expiry. The settlement's progress is locked as well: a
-- refund and a settlement must agree on where the merchant's money is.
CREATE OR REPLACE FUNCTION lock_payment(of_merchant_id bigint, of_payment_id uuid)
RETURNS TABLE (payment payments, locked_at timestamptz, settled boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = evertill, pg_temp AS $$
BEGIN
    SELECT * INTO payment FROM payments
    WHERE merchant_id = of_merchant_id AND payment_id = of_payment_id FOR UPDATE;
    IF FOUND THEN
        SELECT payment.captured_at <= settled_until INTO settled
        FROM settlement_progress FOR SHARE;
        locked_at := clock_timestamp();
        RETURN NEXT;
    END IF;
END
$$;

-- Lock authorizations whose time is over and that nobody else is working on.
CREATE OR REPLACE FUNCTION lock_expired(most integer)
RETURNS TABLE (payment payments, locked_at timestamptz)
LANGUAGE sql SECURITY DEFINER SET search_path = evertill, pg_temp AS $$
    SELECT payments, clock_timestamp() FROM payments
    WHERE status = 'authorized' AND expires_at <= clock_timestamp()
    ORDER BY expires_at LIMIT most FOR UPDATE SKIP LOCKED
$$;

-- Record moves of payments that the caller has locked: new state, event, refund and transfers.
-- Transfers come as arrays of their own, because a move posts none, one or several.
CREATE OR REPLACE FUNCTION record_moves(
    recorded_at timestamptz, merchant_ids bigint[], payment_ids uuid[], event_ids uuid[],
    key_digests uuid[], body_digests uuid[], types text[], statuses text[], captured bigint[], refunded bigint[],
    fees bigint[], refund_ids uuid[], refund_amounts_minor bigint[], answers text[],
    subject_ids uuid[], ordinals integer[], transfer_merchant_ids bigint[], currencies text[],
    kinds smallint[], debits smallint[], credits smallint[], amounts_minor bigint[],
    transfer_fees_minor bigint[], of_epoch bigint, lease_end timestamptz
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = evertill, pg_temp AS $$
DECLARE
    sequences integer[];
BEGIN
    PERFORM check_authority(of_epoch, lease_end);
    UPDATE payments SET status = m.status, captured_minor = m.captured,
        refunded_minor = m.refunded, fee_minor = m.fee,
        captured_at = coalesce(captured_at, CASE WHEN m.status = 'captured' THEN recorded_at END)
    FROM (
        SELECT unnest(merchant_ids) AS merchant_id, unnest(payment_ids) AS payment_id,
            unnest(statuses) AS status, unnest(captured) AS captured,
            unnest(refunded) AS refunded, unnest(fees) AS fee
    ) AS m
    WHERE payments.merchant_id = m.merchant_id AND payments.payment_id = m.payment_id;

    INSERT INTO events (merchant_id, event_id, payment_id, type, key_digest, body_digest,
        created_at, answer)
    SELECT merchant_id, event_id, payment_id, type, key_digest, body_digest, recorded_at, answer
    FROM (
        SELECT unnest(merchant_ids) AS merchant_id, unnest(event_ids) AS event_id,
            unnest(payment_ids) AS payment_id, unnest(types) AS type,
            unnest(key_digests) AS key_digest, unnest(body_digests) AS body_digest,
            unnest(answers) AS answer
    ) AS e;

    INSERT INTO outbox (created_at, merchant_ids, event_ids)
    VALUES (recorded_at, record_moves.merchant_ids, record_moves.event_ids);

    INSERT INTO refunds (merchant_id, payment_id, refund_id, amount_minor, created_at)
    SELECT merchant_id, payment_id, refund_id, amount, recorded_at
    FROM (
        SELECT unnest(merchant_ids) AS merchant_id, unnest(payment_ids) AS payment_id,
            unnest(refund_ids) AS refund_id, unnest(refund_amounts_minor) AS amount
    ) AS r
    WHERE refund_id IS NOT NULL;

    -- The payment's lock is held, so nobody else can take these sequence numbers.
    SELECT array_agg(ordinal + (SELECT coalesce(max(sequence), 0) FROM transfers
        WHERE transfers.subject_id = t.subject_id) ORDER BY position)
    INTO sequences
    FROM unnest(subject_ids, ordinals) WITH ORDINALITY AS t (subject_id, ordinal, position);
    PERFORM post_transfers(recorded_at, subject_ids, sequences, transfer_merchant_ids,
        currencies, kinds, debits, credits, amounts_minor, transfer_fees_minor);
END
$$;

-- Move what was captured up to a time from pending to available, net of fees and of refunds made
-- so far, as one transfer per merchant and currency. Safe to run on many tasks: the progress row is
-- the lock. Captures of the last hour are never settled, so no commit can arrive behind the
-- progress. A merchant whose refunds exceed its captures keeps the debt in pending.
CREATE OR REPLACE FUNCTION settle_captures(
    run_id uuid, until timestamptz, of_epoch bigint, lease_end timestamptz
) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
SET search_path = evertill, pg_temp AS $$
DECLARE
    since timestamptz;
    settled bigint;
BEGIN
    PERFORM check_authority(of_epoch, lease_end);
    SELECT settled_until INTO since FROM settlement_progress FOR UPDATE;
    until := least(until, clock_timestamp() - interval '1 hour');
    IF until <= since THEN
        RETURN 0;
    END IF;
    -- Two sessions that change many balances must not wait for each other in a circle.
    PERFORM pg_advisory_xact_lock('balances'::regclass::integer, 0);
    SELECT settlements, post_transfers(clock_timestamp(), array_fill(run_id, ARRAY[settlements]),
        sequences, merchant_ids, currencies, array_fill(5::smallint, ARRAY[settlements]),
        array_fill(3::smallint, ARRAY[settlements]), array_fill(4::smallint, ARRAY[settlements]),
        nets_minor, array_fill(0::bigint, ARRAY[settlements]))
    INTO settled
    FROM (
        SELECT count(*)::integer AS settlements, array_agg(sequence) AS sequences,
            array_agg(merchant_id) AS merchant_ids, array_agg(currency) AS currencies,
            array_agg(net_minor) AS nets_minor
        FROM (
            SELECT merchant_id, currency, net_minor,
                row_number() OVER (ORDER BY merchant_id, currency)::integer AS sequence
            FROM (
                SELECT merchant_id, transfers.currency,
                    sum(captured_minor - payments.fee_minor - refunded_minor)::bigint AS net_minor
                FROM transfers
                JOIN payments USING (merchant_id)
                WHERE payment_id = subject_id AND kind = 2
                    AND transfers.created_at > since AND transfers.created_at <= until
                GROUP BY merchant_id, transfers.currency
            ) AS captured
            WHERE net_minor > 0
        ) AS owed
    ) AS columns
    WHERE settlements > 0;
    UPDATE settlement_progress SET settled_until = until;
    RETURN coalesce(settled, 0);
END
$$;

-- Begin a term: the right to hand the outbox to one receiver, for as long as `lease` or until the
-- caller's connection ends. Answers where the log stands, or nothing while another holds a term, and
-- waits for nobody. A holder has a session lock beside its lease, so that its death is noticed at
-- once; the lease ends the term of one that is frozen or cut off. A term that has ended never goes
-- on: each begins under an id of its own.
CREATE OR REPLACE FUNCTION begin_term(of_receiver smallint, new_term uuid, lease interval)
RETURNS TABLE (head_region text, head_chain uuid, head_sequence integer, head_hash text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = evertill, pg_temp AS $$
DECLARE
    -- Looked at without a lock, because all who wait for their turn look here all the time.
    held relay_terms := (SELECT t FROM relay_terms AS t WHERE receiver = of_receiver);
    lock_class integer := 'relay_terms'::regclass::integer;
BEGIN
    IF held.lease_until > clock_timestamp() THEN
        IF NOT pg_try_advisory_lock(lock_class, hashtext(held.term_id::text)) THEN
            RETURN;
        END IF;
        PERFORM pg_advisory_unlock(lock_class, hashtext(held.term_id::text));
    END IF;
    PERFORM pg_advisory_lock(lock_class, hashtext(new_term::text));
    -- Where the log stands is read by the statement that begins the term: the one before may have
    -- gone on until then.
    RETURN QUERY
    UPDATE relay_terms SET term_id = new_term, lease_until = clock_timestamp() + lease
    WHERE receiver = of_receiver AND term_id IS NOT DISTINCT FROM held.term_id
        AND lease_until = held.lease_until
    RETURNING region, chain_id, sequence, last_hash;
    IF NOT FOUND THEN
        PERFORM pg_advisory_unlock(lock_class, hashtext(new_term::text));
    END IF;
END
$$;

-- Go on with a term; answers nothing when it has ended, else the database's time and the oldest
-- batches that the receiver has not taken, up to `most` events or a little more.
CREATE OR REPLACE FUNCTION claim_outbox(
    of_receiver smallint, of_term uuid, lease interval, most integer
) RETURNS TABLE (claimed_at timestamptz, batch_ids bigint[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = evertill, pg_temp AS $$
BEGIN
    claimed_at := clock_timestamp();
    -- Renewed at half of its time, so that an idle relay writes next to nothing.
    UPDATE relay_terms SET lease_until = claimed_at + lease
    WHERE receiver = of_receiver AND term_id = of_term AND lease_until < claimed_at + lease / 2;
    IF NOT EXISTS (SELECT FROM relay_terms
            WHERE receiver = of_receiver AND term_id = of_term) THEN
        RETURN;
    END IF;
    -- The receiver is part of the text, so that its own partial index is found.
    EXECUTE format('SELECT array_agg(batch_id ORDER BY batch_id) FROM (
            SELECT batch_id, sum(size) OVER (ORDER BY batch_id) - size AS before
            FROM (SELECT batch_id, cardinality(event_ids) AS size FROM outbox
                WHERE pending & %s <> 0 ORDER BY batch_id LIMIT 1000) AS oldest
        ) AS summed WHERE before < $1', of_receiver)
    INTO batch_ids USING most;
    RETURN NEXT;
END
$$;

-- Take batches off a receiver's list. A row goes when every receiver that is `served` at all has
-- taken it.
CREATE OR REPLACE FUNCTION take_from_outbox(of_receiver smallint, served smallint, taken bigint[])
RETURNS void LANGUAGE plpgsql SET search_path = evertill, pg_temp AS $$
BEGIN
    DELETE FROM outbox
    WHERE batch_id = ANY (taken) AND pending & served & ~of_receiver = 0;
    -- Another receiver may note the same batch now: whoever is second finds no bit left.
    UPDATE outbox SET pending = pending & ~of_receiver WHERE batch_id = ANY (taken);
    DELETE FROM outbox WHERE batch_id = ANY (taken) AND pending & served = 0;
END
$$;

-- Note that a receiver has taken batches. False, and nothing done, when the term is another's by now.
CREATE OR REPLACE FUNCTION settle_outbox(
    of_receiver smallint, of_term uuid, served smallint, taken bigint[],
    of_region text, of_sequence integer, of_hash text
) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = evertill, pg_temp AS $$
BEGIN
    UPDATE relay_terms SET region = of_region, chain_id = of_term, sequence = of_sequence,
        last_hash = of_hash
    WHERE receiver = of_receiver AND term_id = of_term;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM take_from_outbox(of_receiver, served, taken);
    RETURN true;
END
$$;

-- Copy events to the deliveries of every endpoint that wants them: those of the oldest batches, up to
-- `most` events or a little more, because each may want as many rows as its merchant has endpoints,
-- and what takes longer than a statement may would be begun again for ever. Safe to run on many tasks:
-- each takes batches that no other is working on. Answers whether there are more.
CREATE OR REPLACE FUNCTION fan_out_webhooks(served smallint, most integer)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = evertill, pg_temp AS $$
DECLARE
    found_count integer;
    taken bigint[];
BEGIN
    WITH oldest AS MATERIALIZED (
        SELECT batch_id, cardinality(event_ids) AS size FROM outbox WHERE pending & 2 <> 0
        ORDER BY batch_id LIMIT 100 FOR UPDATE SKIP LOCKED
    )
    SELECT count(*), array_agg(batch_id) FILTER (WHERE before < most) INTO found_count, taken
    FROM (
        SELECT batch_id, sum(size) OVER (ORDER BY batch_id) - size AS before FROM oldest
    ) AS summed;
    IF taken IS NULL THEN
        RETURN false;
    END IF;
    INSERT INTO webhook_deliveries (endpoint_id, event_id, merchant_id, transaction_id, due_at)
    SELECT endpoint_id, e.event_id, e.merchant_id, e.transaction_id, clock_timestamp()
    FROM outbox AS o
    CROSS JOIN LATERAL unnest(o.merchant_ids, o.event_ids) AS named (merchant_id, event_id)
    JOIN webhook_endpoints AS w ON w.merchant_id = named.merchant_id
    JOIN events AS e ON e.merchant_id = named.merchant_id
        AND e.transaction_id = o.transaction_id AND e.event_id = named.event_id
    WHERE o.batch_id = ANY (taken) AND w.disabled_reason IS NULL
        AND (w.types IS NULL OR e.type = ANY (w.types))
    ORDER BY o.batch_id
    ON CONFLICT DO NOTHING;
    PERFORM take_from_outbox(2::smallint, served, taken);
    RETURN cardinality(taken) < found_count OR found_count = 100;
END
$$;

-- Take deliveries that are due and that nobody else is at, a few of each endpoint, so that none is
-- delayed by another. They are due again after `lease`, should the caller die.
CREATE OR REPLACE FUNCTION claim_deliveries(
    busy uuid[], each integer, most integer, lease interval
) RETURNS TABLE (endpoint_id uuid, event_id uuid, url text, secrets text[], attempts smallint,
    type text, created_at timestamptz, answer text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = evertill, pg_temp AS $$
DECLARE
    -- One time for all, which an index can be searched for.
    at timestamptz := clock_timestamp();
BEGIN
    RETURN QUERY
    WITH due AS MATERIALIZED (
        SELECT d.endpoint_id, d.event_id
        FROM (
            -- In no order: with little room, none is always the last.
            SELECT e.endpoint_id, e.failures FROM webhook_endpoints AS e
            WHERE e.disabled_reason IS NULL AND e.paused_until <= at
                AND e.endpoint_id <> ALL (busy)
            ORDER BY random()
        ) AS w
        CROSS JOIN LATERAL (
            SELECT p.endpoint_id, p.event_id FROM webhook_deliveries AS p
            WHERE p.endpoint_id = w.endpoint_id AND p.due_at <= at
            -- One that keeps failing is asked by one delivery, whether it has come back.
            ORDER BY p.due_at LIMIT CASE WHEN w.failures < 3 THEN each ELSE 1 END
            FOR UPDATE SKIP LOCKED
        ) AS d
        LIMIT most
    ), leased AS (
        UPDATE webhook_deliveries AS p
        SET due_at = at + lease, attempts = p.attempts + 1, attempted_at = at
        FROM due WHERE p.endpoint_id = due.endpoint_id AND p.event_id = due.event_id
        RETURNING p.*
    )
    SELECT l.endpoint_id, l.event_id, w.url,
        CASE WHEN w.previous_until > at THEN ARRAY[w.secret, w.previous_secret]
            ELSE ARRAY[w.secret] END,
        l.attempts, e.type, e.created_at, e.answer
    FROM leased AS l
    JOIN webhook_endpoints AS w ON w.endpoint_id = l.endpoint_id
    JOIN events AS e ON e.merchant_id = l.merchant_id AND e.transaction_id = l.transaction_id
        AND e.event_id = l.event_id
    ORDER BY e.transaction_id, e.event_id;
END
$$;

-- Note how a delivery went: done when there is no error; else due again after `later`, or a dead
-- letter without it. `pause` leaves the whole endpoint alone, `disable` for good.
CREATE OR REPLACE FUNCTION finish_delivery(
    of_endpoint uuid, of_event uuid, found_error text, later interval, pause interval, disable text
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = evertill, pg_temp AS $$
BEGIN
    IF found_error IS NULL THEN
        DELETE FROM webhook_deliveries WHERE endpoint_id = of_endpoint AND event_id = of_event;
        UPDATE webhook_endpoints SET failures = 0
        WHERE endpoint_id = of_endpoint AND failures > 0;
        RETURN;
    END IF;
    UPDATE webhook_deliveries SET due_at = clock_timestamp() + later, error = found_error
    WHERE endpoint_id = of_endpoint AND event_id = of_event;
    -- From the third failure in a row on, all of the endpoint's deliveries wait, up to a minute.
    UPDATE webhook_endpoints SET failures = failures + 1,
        disabled_reason = coalesce(disable, disabled_reason),
        paused_until = greatest(paused_until, clock_timestamp() + coalesce(pause,
            CASE WHEN failures >= 2 THEN least(2 ^ least(failures, 6), 60) ELSE 0 END
                * interval '1 second'))
    WHERE endpoint_id = of_endpoint;
END
$$;

-- Create a merchant's endpoint; false when the merchant has `most` already.
CREATE OR REPLACE FUNCTION create_webhook(
    of_merchant bigint, new_endpoint uuid, new_url text, new_types text[], new_secret text,
    most integer
) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = evertill, pg_temp AS $$
BEGIN
    PERFORM FROM merchants WHERE merchant_id = of_merchant FOR UPDATE;
    IF (SELECT count(*) FROM webhook_endpoints WHERE merchant_id = of_merchant) >= most THEN
        RETURN false;
    END IF;
    INSERT INTO webhook_endpoints (endpoint_id, merchant_id, url, types, secret)
    VALUES (new_endpoint, of_merchant, new_url, new_types, new_secret);
    RETURN true;
END
$$;

-- Forget an endpoint and whatever was still to be told to it; false when it is not the merchant's.
CREATE OR REPLACE FUNCTION remove_webhook(of_merchant bigint, of_endpoint uuid)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = evertill, pg_temp AS $$
BEGIN
    DELETE FROM webhook_endpoints WHERE merchant_id = of_merchant AND endpoint_id = of_endpoint;
    RETURN FOUND;
END
$$;

-- Give an endpoint a new secret; the one before signs along for `overlap`.
CREATE OR REPLACE FUNCTION rotate_webhook(
    of_merchant bigint, of_endpoint uuid, new_secret text, overlap interval
) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = evertill, pg_temp AS $$
BEGIN
    UPDATE webhook_endpoints SET secret = new_secret, previous_secret = secret,
        previous_until = clock_timestamp() + overlap
    WHERE merchant_id = of_merchant AND endpoint_id = of_endpoint;
    RETURN FOUND;
END
$$;

-- Tell an endpoint again that was disabled.
CREATE OR REPLACE FUNCTION enable_webhook(of_merchant bigint, of_endpoint uuid)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = evertill, pg_temp AS $$
BEGIN
    UPDATE webhook_endpoints SET disabled_reason = NULL, failures = 0,
        paused_until = '-infinity'
    WHERE merchant_id = of_merchant AND endpoint_id = of_endpoint;
    RETURN FOUND;
END
$$;

-- Deliver an event once more, whether it was delivered, is still tried, or is a dead letter.
CREATE OR REPLACE FUNCTION redeliver_event(of_merchant bigint, of_endpoint uuid, of_event uuid)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = evertill, pg_temp AS $$
BEGIN
    INSERT INTO webhook_deliveries (endpoint_id, event_id, merchant_id, transaction_id, due_at)
    SELECT endpoint_id, event_id, merchant_id, transaction_id, clock_timestamp()
    FROM webhook_endpoints JOIN events USING (merchant_id)
    WHERE merchant_id = of_merchant AND endpoint_id = of_endpoint AND event_id = of_event
    ON CONFLICT (endpoint_id, event_id) DO UPDATE SET due_at = excluded.due_at, attempts = 0;
    RETURN FOUND;
END
$$;

-- Delete decisions of the validation function that are a week old, the oldest first, up to `most`;
-- answers how many. A week is as long as the API remembers its answers. It is no parameter, so that
-- whoever may call this can delete nothing younger. Ids are UUIDv7, which begin with their
-- milliseconds since 1970, so the primary key stands in the order of time. Safe to run on many tasks.
CREATE OR REPLACE FUNCTION forget_validations(most integer)
RETURNS integer LANGUAGE plpgsql SECURITY DEFINER SET search_path = evertill, pg_temp AS $$
DECLARE
    kept_from_ms bigint := floor(extract(epoch FROM clock_timestamp() - interval '7 days') * 1000);
    kept_from uuid := rpad(lpad(to_hex(kept_from_ms), 12, '0'), 32, '0');
    forgotten integer;
BEGIN
    DELETE FROM validations WHERE validation_id = ANY (ARRAY(
        SELECT validation_id FROM validations WHERE validation_id < kept_from
        ORDER BY validation_id LIMIT most FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    RETURN forgotten;
END
$$;

-- What the validation function may ask and do, all of it: it reads no table and writes to one.

-- The merchant and the scopes behind an API key's digest; nothing for an unknown or revoked key.
CREATE OR REPLACE FUNCTION find_caller(digest bytea)
RETURNS TABLE (merchant_id bigint, active boolean, terms text, scopes text[])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = evertill, pg_temp AS $$
    SELECT m.merchant_id, m.active, m.terms::text, k.scopes
    FROM api_keys AS k
    JOIN merchants AS m USING (merchant_id)
    WHERE k.key_digest = digest AND k.revoked_at IS NULL
$$;

-- The merchant of a name, for callers that AWS has authenticated.
CREATE OR REPLACE FUNCTION find_merchant(of_name text)
RETURNS TABLE (merchant_id bigint, active boolean, terms text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = evertill, pg_temp AS $$
    SELECT m.merchant_id, m.active, m.terms::text FROM merchants AS m WHERE m.name = of_name
$$;

-- A source's history as the rules want it: the statement find_history for one source. It is asked of
-- a reader, so it lags behind by as much as the reader does.
CREATE OR REPLACE FUNCTION source_history(of_source_key bigint)
RETURNS TABLE (attempts bigint[], approved_minor bigint[], amounts_minor bigint[], refs text[])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = evertill, pg_temp
SET enable_seqscan = off AS $$
    SELECT ARRAY[count(*) FILTER (WHERE p.created_at > at - interval '1 minute'),
            count(*) FILTER (WHERE p.created_at > at - interval '1 hour'), count(*)],
        ARRAY[coalesce(sum(amount_minor) FILTER (WHERE approved
                AND p.created_at > at - interval '1 minute'), 0)::bigint,
            coalesce(sum(amount_minor) FILTER (WHERE approved
                AND p.created_at > at - interval '1 hour'), 0)::bigint,
            coalesce(sum(amount_minor) FILTER (WHERE approved), 0)::bigint],
        coalesce(array_agg(amount_minor) FILTER (WHERE approved
            AND p.created_at > at - interval '1 minute'), '{}'),
        coalesce(array_agg(reference) FILTER (WHERE approved
            AND p.created_at > at - interval '1 minute'), '{}')
    FROM (SELECT clock_timestamp() AS at OFFSET 0) AS now
    CROSS JOIN LATERAL (
        SELECT created_at, amount_minor, reference, status <> 'declined' AS approved
        FROM payments
        WHERE source_key = of_source_key AND created_at > at - interval '24 hours'
        ORDER BY created_at DESC
        LIMIT 1000
    ) AS p
$$;

-- Store a decision. A repeat of the same id changes nothing, so a caller that lost its connection
-- may simply ask again.
CREATE OR REPLACE FUNCTION record_validation(
    of_validation_id uuid, decided_at timestamptz, region text, caller text, merchant_id bigint,
    payment_reference text, currency text, exponent smallint, amount_minor numeric, source text,
    decline_code text
) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = evertill, pg_temp AS $$
    INSERT INTO validations (validation_id, decided_at, region, caller, merchant_id,
        payment_reference, currency, exponent, amount_minor, source, decline_code)
    VALUES (of_validation_id, record_validation.decided_at, record_validation.region,
        record_validation.caller, record_validation.merchant_id,
        record_validation.payment_reference, record_validation.currency,
        record_validation.exponent, record_validation.amount_minor, record_validation.source,
        record_validation.decline_code)
    ON CONFLICT DO NOTHING
$$;
