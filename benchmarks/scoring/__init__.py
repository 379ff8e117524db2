"""CPU seconds and memory of scoring: FASA beside every other tool, each run in a process of its own."""
