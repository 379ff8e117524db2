"""Questions of speed and memory, and the check of a machine with a GPU; each module is run as ``python -m``."""
