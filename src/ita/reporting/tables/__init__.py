"""What a table of each kind shows."""
