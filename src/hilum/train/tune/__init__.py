"""The search for settings: `hilum tune`."""
