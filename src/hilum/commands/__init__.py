"""Commands with many options, a module each; the others stand in cli.py."""
