"""Labelled clips of events: how they are kept, made and read."""
