-- What a reconciliation after a failover leaves behind: entries that settle a difference between two
-- regions' books, and the record of what was decided (docs/decisions/0054-reconciliation.md).

-- An adjustment moves money for a decision of people and not for a payment's own move, so its subject
-- is the adjustment and no payment: a payment's transfers stay those of its history.
INSERT INTO transfer_kinds VALUES (6, 'adjust');
ALTER TABLE transfers DROP CONSTRAINT transfers_kind_check;
-- What is there was checked by the narrower rule. To check it again would lock the ledger.
ALTER TABLE transfers ADD CONSTRAINT transfers_kind_check CHECK (kind BETWEEN 1 AND 6) NOT VALID;

-- One row for each step of a decision that was carried out, written by the transaction that carried
-- it out: a step is done once, however often it is begun. A step's id is that of the event that was
-- recorded again, else of the difference itself.
CREATE TABLE reconciliations (
    step_id uuid PRIMARY KEY,
    difference_id uuid NOT NULL,
    proposal_id uuid NOT NULL,
    subject text NOT NULL CHECK (length(subject) <= 200),
    decision text NOT NULL CHECK (decision IN ('replay', 'adopt', 'compensate')),
    approved_by text NOT NULL CHECK (length(approved_by) BETWEEN 1 AND 200),
    epoch bigint NOT NULL,
    adjustment_id uuid UNIQUE,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((decision = 'compensate') = (adjustment_id IS NOT NULL))
);
CREATE TRIGGER reconciliations_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE
    ON reconciliations FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
