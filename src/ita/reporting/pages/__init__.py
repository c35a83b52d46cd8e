"""The report of a data set: a folder of pages that open from disk and ask nobody for anything."""
