"""The world of the demo dataset: posts, the pictures beside them, what a detector says of those, a small encoder."""
