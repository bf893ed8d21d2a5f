"""The doors: where other programs and people reach a classifier over a network."""
