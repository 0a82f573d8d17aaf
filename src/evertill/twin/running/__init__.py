"""The twin put together: from a plan to parts that start in order and stop in reverse.

It is separate from the parts, which know neither each other's concerns nor who starts them.
"""
