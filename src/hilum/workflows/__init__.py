"""The jobs of the commands: each reads, measures, reports and writes. Only here do all rooms meet."""
