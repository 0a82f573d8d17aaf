"""Every event leaves the database here: to the transaction log, and to whoever wants to be told."""
