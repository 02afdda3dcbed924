"""Checks of the exercises: one module a week, and the machinery they share in `core`."""
