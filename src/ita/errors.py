"""The error that a user can put right."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can put right: the message says what was found, what was expected and what to do."""


class ConfigError(UserError):
    """A setting that is wrong: the message says where it stands, what was found and what is allowed."""
