"""PostgreSQL: the schema, the statements, and the group commit that makes payments durable."""
