"""The commands, a module each; cli.py puts them together and turns errors into exit codes."""
