"""The audit of a data set, before a model can be flattered by it: `hilum audit`."""
