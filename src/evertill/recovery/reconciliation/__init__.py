"""Bring the books of two regions together after a failover that lost something.

`comparing` reads both volumes and the log, `sorting` says what each difference is and what could be
done, people decide in a `proposal`, `applying` does what they approved, and `report` tells. Nothing
is decided by the program where two answers were given to somebody.
"""
