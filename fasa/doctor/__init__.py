"""`fasa doctor`: what a machine lacks for the tables that are asked of it, and the commands that fix it."""

from fasa.doctor.examination import examine

__all__ = ["examine"]
