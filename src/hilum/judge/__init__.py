"""Telling the truth about a data set and a model: figures with intervals, calibration, report, model card."""
