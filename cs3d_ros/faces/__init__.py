"""Rendered faces that show expressions, and faces of real videos cut out and aligned."""
