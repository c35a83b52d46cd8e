"""Download of files from untrusted hosts: HTTP client, address guard, crawler, content-addressed store."""
