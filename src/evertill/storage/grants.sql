-- What the service's role may do: read, and call the functions that write. It owns nothing and has
-- no INSERT, UPDATE or DELETE on any table, so money moves by those functions or not at all.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA evertill FROM PUBLIC;
GRANT USAGE ON SCHEMA evertill TO evertill_service;
GRANT SELECT ON ALL TABLES IN SCHEMA evertill TO evertill_service;
GRANT EXECUTE ON FUNCTION record_payments, lock_payment, lock_expired, record_moves,
    settle_captures, fold_balances, claim_outbox, settle_outbox, fan_out_webhooks,
    claim_deliveries, finish_delivery, create_webhook, remove_webhook, rotate_webhook, enable_webhook,
    redeliver_event, forget_validations TO evertill_service;

-- What the validation function's role may do: four questions and answers, and no table at all. A
-- stolen login of it can take no payment and read no ledger.
GRANT USAGE ON SCHEMA evertill TO evertill_validation;
GRANT EXECUTE ON FUNCTION find_caller, find_merchant, source_history, record_validation
    TO evertill_validation;
