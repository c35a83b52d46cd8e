"""Values that the paper reports, as data."""
