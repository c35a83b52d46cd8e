"""The synthetic data set ``demo``: posts, their images, and the small models that it ships with."""
