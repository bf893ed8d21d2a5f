"""Films of other hospitals, and each source held out."""
