"""What a model answers from, if not from the lungs: `hilum evaluate --shortcuts`."""
