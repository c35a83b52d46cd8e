"""Fetching files: HTTP client, guard against private addresses, pool of requests, content-addressed store."""
