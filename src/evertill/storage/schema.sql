-- The schema as it is at version 1: what an empty database gets. Later versions are steps in
-- migrations/. The SQL is kept good for PostgreSQL 15 to 18.
--
-- Two promises are kept by construction rather than by checking afterwards:
--   * a transfer names its debit and its credit account in one row, so it cannot be unbalanced;
--   * the service's role may call the functions below and read, nothing else, so there is no way to
--     store a payment without its key, its transfers, its balances and its event.

-- Who may charge, and on which terms (JSON of evertill.domain.rules.MerchantTerms).
CREATE TABLE merchants (
    merchant_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 100),
    active boolean NOT NULL DEFAULT true,
    terms jsonb NOT NULL DEFAULT '{}',
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- API keys are stored as SHA-256 digests: they are random, so a slow hash would add nothing.
CREATE TABLE api_keys (
    key_digest bytea PRIMARY KEY CHECK (length(key_digest) = 32),
    merchant_id bigint NOT NULL REFERENCES merchants,
    scopes text[] NOT NULL CHECK (scopes <@ ARRAY['read', 'write', 'admin']),
    hint text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    revoked_at timestamptz,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- One row per payment. The hot path pays for two indexes here; a third is partial and holds only
-- open authorizations. Ids are UUIDv7, so the primary key also serves the newest-first list.
CREATE TABLE payments (
    merchant_id bigint NOT NULL,
    payment_id uuid NOT NULL,
    status text NOT NULL CHECK (status IN ('pending', 'authorized', 'declined', 'captured',
        'canceled', 'expired', 'partially_refunded', 'refunded')),
    currency text NOT NULL CHECK (length(currency) = 3),
    exponent smallint NOT NULL CHECK (exponent BETWEEN 0 AND 4),
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    captured_minor bigint NOT NULL,
    refunded_minor bigint NOT NULL DEFAULT 0,
    fee_minor bigint NOT NULL,
    source_key bigint NOT NULL,
    source text NOT NULL,
    reference text,
    description text,
    decline_code text,
    created_at timestamptz NOT NULL,
    captured_at timestamptz,
    expires_at timestamptz,
    PRIMARY KEY (merchant_id, payment_id),
    CHECK (0 <= refunded_minor AND refunded_minor <= captured_minor
        AND captured_minor <= amount_minor AND 0 <= fee_minor AND fee_minor <= captured_minor),
    CHECK ((status = 'declined') = (decline_code IS NOT NULL))
) WITH (fillfactor = 90);

-- Velocity and duplicate rules look back through one source's payments.
CREATE INDEX payments_by_source ON payments (source_key, created_at);
CREATE INDEX payments_to_expire ON payments (expires_at) WHERE status = 'authorized';

-- What happened: one row per operation on a payment. It holds the idempotency key that asked for it
-- (none when a job did it), a digest of what was asked, and the answer as its bytes were sent,
-- which is also the event's data. The unique key digest is the promise of one payment per key; it
-- covers merchant, operation, target and key. Answers are replayed for 7 days, rows kept for 400.
-- Readers page by (transaction_id, event_id) and stop before the oldest transaction that is still
-- open, because commits do not become visible in the order of their ids: nothing is skipped.
CREATE TABLE events (
    merchant_id bigint NOT NULL,
    transaction_id xid8 NOT NULL DEFAULT pg_current_xact_id(),
    event_id uuid NOT NULL,
    payment_id uuid NOT NULL,
    type text NOT NULL,
    key_digest uuid UNIQUE,
    body_digest uuid,
    created_at timestamptz NOT NULL,
    answer text NOT NULL,
    PRIMARY KEY (merchant_id, transaction_id, event_id),
    CHECK ((key_digest IS NULL) = (body_digest IS NULL))
);
-- The ledger's accounts and the reasons for a transfer, as numbers that a row can afford.
CREATE TABLE accounts (account smallint PRIMARY KEY, name text NOT NULL UNIQUE);
INSERT INTO accounts VALUES (1, 'acquirer_receivable'), (2, 'authorization_holds'),
    (3, 'merchant_pending'), (4, 'merchant_available'), (5, 'fees'), (6, 'refunds_payable');
CREATE TABLE transfer_kinds (kind smallint PRIMARY KEY, name text NOT NULL UNIQUE);
INSERT INTO transfer_kinds VALUES (1, 'authorize'), (2, 'capture'), (3, 'release'), (4, 'refund'),
    (5, 'settle');

-- The ledger. amount_minor leaves the debit account; fee_minor of it arrives in fees, the rest in
-- the credit account. subject_id is the payment, or the settlement run, that the transfer is for.
CREATE TABLE transfers (
    subject_id uuid NOT NULL,
    sequence integer NOT NULL,
    merchant_id bigint NOT NULL,
    currency text NOT NULL,
    kind smallint NOT NULL CHECK (kind BETWEEN 1 AND 5),
    debit smallint NOT NULL CHECK (debit BETWEEN 1 AND 6),
    credit smallint NOT NULL CHECK (credit BETWEEN 1 AND 6),
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    fee_minor bigint NOT NULL CHECK (0 <= fee_minor AND fee_minor <= amount_minor),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (subject_id, sequence),
    CHECK (debit <> credit)
);

-- Captures are found by time when they are settled; BRIN costs the hot path next to nothing.
CREATE INDEX transfers_by_time ON transfers USING brin (created_at) WITH (pages_per_range = 16);

-- The same rows as an auditor reads them: signed entries, credit positive, debit negative.
CREATE VIEW ledger_entries AS
    SELECT subject_id, sequence, merchant_id, currency, transfer_kinds.name AS kind, created_at,
        accounts.name AS account, entry.amount_minor
    FROM transfers
    JOIN transfer_kinds USING (kind)
    CROSS JOIN LATERAL (VALUES
        (debit, -transfers.amount_minor),
        (credit, transfers.amount_minor - fee_minor),
        (5, fee_minor)
    ) AS entry (account, amount_minor)
    JOIN accounts USING (account)
    WHERE entry.amount_minor <> 0;

-- Stored balances: one row per merchant and currency, a column per account. A balance is this row
-- and what batches have posted since, which a job folds into it (view current_balances). Money that
-- a merchant can be paid out is the exception: it moves here at once, under a check.
CREATE TABLE balances (
    merchant_id bigint NOT NULL,
    currency text NOT NULL,
    acquirer_receivable bigint NOT NULL DEFAULT 0,
    authorization_holds bigint NOT NULL DEFAULT 0,
    merchant_pending bigint NOT NULL DEFAULT 0,
    merchant_available bigint NOT NULL DEFAULT 0,
    fees bigint NOT NULL DEFAULT 0,
    refunds_payable bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (merchant_id, currency),
    CONSTRAINT balances_conserve_money CHECK (acquirer_receivable + authorization_holds
        + merchant_pending + merchant_available + fees + refunds_payable = 0),
    CONSTRAINT balances_available_not_negative CHECK (merchant_available >= 0)
) WITH (fillfactor = 50);

-- What was posted and is not folded yet: one row per batch, its transfers as columns. A batch thereby
-- waits for no balance that another batch is changing, however many pay one merchant.
CREATE TABLE unfolded_batches (
    batch_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    merchant_ids bigint[] NOT NULL,
    currencies text[] NOT NULL,
    debits smallint[] NOT NULL,
    credits smallint[] NOT NULL,
    amounts_minor bigint[] NOT NULL,
    fees_minor bigint[] NOT NULL
);
-- Each row is read twice and deleted within seconds; compressing it would be in vain.
ALTER TABLE unfolded_batches ALTER COLUMN merchant_ids SET STORAGE EXTERNAL,
    ALTER COLUMN currencies SET STORAGE EXTERNAL, ALTER COLUMN debits SET STORAGE EXTERNAL,
    ALTER COLUMN credits SET STORAGE EXTERNAL, ALTER COLUMN amounts_minor SET STORAGE EXTERNAL,
    ALTER COLUMN fees_minor SET STORAGE EXTERNAL;

-- The same as rows: what each transfer changes in its merchant's balances. A declined payment has
-- no accounts and changes nothing.
CREATE VIEW unfolded_changes AS
    SELECT batch_id, merchant_id, currency,
        CASE 1 WHEN debit THEN -amount WHEN credit THEN amount - fee ELSE 0 END
            AS acquirer_receivable,
        CASE 2 WHEN debit THEN -amount WHEN credit THEN amount - fee ELSE 0 END
            AS authorization_holds,
        CASE 3 WHEN debit THEN -amount WHEN credit THEN amount - fee ELSE 0 END
            AS merchant_pending,
        CASE 4 WHEN debit THEN -amount WHEN credit THEN amount - fee ELSE 0 END
            AS merchant_available,
        CASE 5 WHEN debit THEN -amount WHEN credit THEN amount - fee ELSE 0 END + fee AS fees,
        CASE 6 WHEN debit THEN -amount WHEN credit THEN amount - fee ELSE 0 END
            AS refunds_payable
    FROM unfolded_batches CROSS JOIN LATERAL unnest(merchant_ids, currencies, debits, credits,
        amounts_minor, fees_minor) AS t (merchant_id, currency, debit, credit, amount, fee)
    WHERE debit IS NOT NULL;

-- Every balance as it is now, folded or not.
CREATE VIEW current_balances AS
    SELECT merchant_id, currency, sum(acquirer_receivable)::bigint AS acquirer_receivable,
        sum(authorization_holds)::bigint AS authorization_holds,
        sum(merchant_pending)::bigint AS merchant_pending,
        sum(merchant_available)::bigint AS merchant_available, sum(fees)::bigint AS fees,
        sum(refunds_payable)::bigint AS refunds_payable
    FROM (
        SELECT merchant_id, currency, acquirer_receivable, authorization_holds, merchant_pending,
            merchant_available, fees, refunds_payable
        FROM balances
        UNION ALL
        SELECT merchant_id, currency, acquirer_receivable, authorization_holds, merchant_pending,
            merchant_available, fees, refunds_payable
        FROM unfolded_changes
    ) AS parts
    GROUP BY merchant_id, currency;

-- Refunds, in their payment's order.
CREATE TABLE refunds (
    merchant_id bigint NOT NULL,
    payment_id uuid NOT NULL,
    refund_id uuid NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, payment_id, refund_id)
);

-- The outbox: one row per committed batch names the events that are still to be delivered. A row's
-- number is drawn while the batch holds its payments' locks, and a payment's next event can only come
-- once that commit is visible: so the order of numbers is every payment's own order, and whoever can
-- see a row can see every earlier one of the same payments. `pending` has a bit for each receiver that
-- has not taken it yet: 1 is the transaction log, 2 the webhooks, 4 the topic. See
-- docs/decisions/0030-transaction-log.md.
CREATE TABLE outbox (
    batch_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The events' own: together with merchant and event it is their key.
    transaction_id xid8 NOT NULL DEFAULT pg_current_xact_id(),
    pending smallint NOT NULL DEFAULT 7,
    created_at timestamptz NOT NULL,
    merchant_ids bigint[] NOT NULL,
    event_ids uuid[] NOT NULL
);
-- A receiver that is behind must not make the others read past what it has not taken.
CREATE INDEX outbox_for_log ON outbox (batch_id) WHERE pending & 1 <> 0;
CREATE INDEX outbox_for_webhooks ON outbox (batch_id) WHERE pending & 2 <> 0;
CREATE INDEX outbox_for_topic ON outbox (batch_id) WHERE pending & 4 <> 0;
-- Ids do not compress; trying to costs time on every commit.
ALTER TABLE outbox ALTER COLUMN merchant_ids SET STORAGE EXTERNAL;
ALTER TABLE outbox ALTER COLUMN event_ids SET STORAGE EXTERNAL;

-- Who hands the outbox to a receiver at the moment, and until when nobody else may. For the log also
-- where it stands: the last object that was acknowledged.
CREATE TABLE relay_terms (
    receiver smallint PRIMARY KEY,
    term_id uuid,
    lease_until timestamptz NOT NULL DEFAULT '-infinity',
    region text,
    chain_id uuid,
    sequence integer,
    last_hash text
);
INSERT INTO relay_terms (receiver) VALUES (1), (4);

-- Where merchants want to be told. Secrets are kept as they are, because they sign; the one before
-- signs along until `previous_until`. An endpoint that keeps failing is left alone for a while.
CREATE TABLE webhook_endpoints (
    endpoint_id uuid PRIMARY KEY,
    merchant_id bigint NOT NULL REFERENCES merchants,
    url text NOT NULL CHECK (length(url) <= 2048),
    -- The types of events that are wanted; NULL is all.
    types text[],
    secret text NOT NULL,
    previous_secret text,
    previous_until timestamptz,
    disabled_reason text,
    failures integer NOT NULL DEFAULT 0,
    paused_until timestamptz NOT NULL DEFAULT '-infinity',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX webhook_endpoints_by_merchant ON webhook_endpoints (merchant_id);

-- What is still to be told: a row goes when it was delivered. Without a time it is a dead letter:
-- nothing more is tried until the merchant asks for it.
CREATE TABLE webhook_deliveries (
    endpoint_id uuid NOT NULL REFERENCES webhook_endpoints ON DELETE CASCADE,
    event_id uuid NOT NULL,
    merchant_id bigint NOT NULL,
    transaction_id xid8 NOT NULL,
    attempts smallint NOT NULL DEFAULT 0,
    due_at timestamptz,
    attempted_at timestamptz,
    error text,
    PRIMARY KEY (endpoint_id, event_id)
) WITH (fillfactor = 80);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_id, due_at)
    WHERE due_at IS NOT NULL;
CREATE INDEX webhook_deliveries_dead ON webhook_deliveries (endpoint_id, attempted_at)
    WHERE due_at IS NULL;

-- Up to when captures have been settled: moved from pending to available.
CREATE TABLE settlement_progress (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    settled_until timestamptz NOT NULL
);
INSERT INTO settlement_progress (settled_until) VALUES ('2026-01-01T00:00:00Z');

-- What the validation function decided in the last days, taking no payment; the transaction log keeps
-- it for good. Ids are UUIDv7, in the order of time. A direct invoke may name no merchant and no
-- source; amounts over the limit are decisions too, so an amount here may be larger than a payment's.
CREATE TABLE validations (
    validation_id uuid PRIMARY KEY,
    decided_at timestamptz NOT NULL,
    region text NOT NULL,
    caller text NOT NULL CHECK (caller IN ('direct', 'http')),
    merchant_id bigint,
    payment_reference text CHECK (length(payment_reference) <= 64),
    currency text NOT NULL CHECK (length(currency) = 3),
    exponent smallint NOT NULL CHECK (exponent BETWEEN 0 AND 4),
    amount_minor numeric(20) NOT NULL,
    source text CHECK (length(source) <= 64),
    decline_code text
);

-- The ledger is append-only for everybody, its owner included.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER transfers_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON transfers
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
