"""Evertill's speed, measured side by side with the limit of one-payment transactions.

    python -m benchmarks            the figures and their ratios
    python -m benchmarks --large    what 1 million and 10 million payments cost
    python -m benchmarks --guards   what each guard of the group commit costs

Everything is measured in one run, on one machine, against one PostgreSQL with the same durable
settings, with the load generator on the same cores. After each measurement the database is checked
against what the clients were told; a run that lost or doubled a payment prints no figure.
"""
