"""The morphable face, posed, lit and drawn."""
