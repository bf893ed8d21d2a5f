"""Figures, verdicts and pages of studies: `hilum study`."""
