"""One module for the job of each command: it reads, measures, reports and writes. Only here do all rooms meet."""
