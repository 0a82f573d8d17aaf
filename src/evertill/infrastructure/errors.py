"""The one error that this room raises on purpose, apart because settings and app both raise it."""

from __future__ import annotations


class SettingsError(Exception):
    """The settings cannot be deployed; the message is one sentence that says which and why."""
