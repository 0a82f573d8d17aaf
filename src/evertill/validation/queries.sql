-- Every statement that the validation function sends, by name. Each calls one function of
-- storage/functions.sql, because the function's role may do nothing else.

-- name: find_caller
SELECT merchant_id, active, terms, scopes FROM find_caller(:key_digest);

-- name: find_merchant
SELECT merchant_id, active, terms FROM find_merchant(:name);

-- name: source_history
SELECT attempts, approved_minor, amounts_minor, refs FROM source_history(:source_key);

-- name: record_validation
SELECT record_validation(:validation_id ::uuid, :decided_at ::timestamptz, :region, :caller,
    :merchant_id ::bigint, :payment_reference, :currency, :exponent ::smallint,
    :amount_minor ::numeric, :source, :decline_code);
