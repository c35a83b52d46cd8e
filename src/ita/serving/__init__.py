"""The service of ``ita serve``: HTTP routes around a tagger, with limits, batches of many clients, and a page."""
