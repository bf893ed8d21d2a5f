"""Several runs as one model file: `hilum ensemble`."""
