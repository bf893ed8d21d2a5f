"""Telling the truth about a data set and a model: audit, figures with intervals, calibration, comparisons."""
