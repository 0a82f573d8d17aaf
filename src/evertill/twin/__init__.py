"""The twin: a cloud assembly's templates, run on one machine with real parts.

It reads what `assembly` resolved, and nothing of the app that wrote it. What runs is what the
templates say: a health check that cannot pass does not pass here either. It guards against
mistakes, not against hostile code: everything runs as one user on one loopback interface.
"""
