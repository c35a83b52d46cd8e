"""Tables, figures and pages: runs, comparisons, one module per kind of table and figure, templates, reported values."""
