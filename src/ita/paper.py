"""paper."""
VERSION = 1
