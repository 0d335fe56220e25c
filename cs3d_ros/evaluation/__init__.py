"""How well a network recognises: clips and streams, measures, reports."""
