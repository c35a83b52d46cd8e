"""The error that a user can put right."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can put right: the message says what was found, what was expected and what to do."""
