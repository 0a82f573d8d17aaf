"""The rules of money and payments: pure, without I/O and without a clock of its own.

Everything here is a function of its arguments, so that one engine serves the HTTP service, the
validation Lambda and the tests.
"""
