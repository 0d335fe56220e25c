"""Video in, the events that an event camera would have reported out."""
