"""Training of the network that tells chest films from others."""
