"""Training of the lung segmenter."""
