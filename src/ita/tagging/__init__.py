"""Tagging new posts: what comes in (files, streams, Python values), their images, what goes out."""
