"""Stages of the pipeline: one module per rule."""
