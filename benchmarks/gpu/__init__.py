"""The check of a machine with a GPU: what breaks, what a step costs, then runs of the table as time allows."""
