"""The write lease: which region may commit, agreed on without a leader and without shared clocks.

`lease` has the words, `holding` is a task that may write, `taking` is who takes over; these three
are pure. `table` speaks to DynamoDB, `keeping` renews in the background.
"""
