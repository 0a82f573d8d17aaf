"""Losing a region and coming back: what is done, in which order, and what it cost.

It reaches regions by boto3 and databases by SQL of its own, so that it needs nothing of the service
that it recovers, and runs from wherever an operator is.
"""
