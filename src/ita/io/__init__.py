"""Files: Parquet tables, features of regions, atomic writing, hashes, provenance."""
