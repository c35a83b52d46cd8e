"""What tables are made of: runs, comparisons, one module per kind of table, and the forms they are written in."""
