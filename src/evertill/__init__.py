"""Evertill: payments that keep being taken when a task, a zone, a writer or a region is lost."""

__version__ = "0.1.0"
