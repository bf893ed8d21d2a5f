"""The version of hilum and the notice that its outputs carry, in a module that imports nothing."""

__all__ = ["NOTICE", "__version__"]

__version__ = "0.1.0"
NOTICE = "Research software, not a medical device."
