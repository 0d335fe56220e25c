"""Watts to joules. Standard library and vendor tools only."""
