"""Annotated posts: reading them, tags and spans, further texts about them."""
