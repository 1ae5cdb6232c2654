"""tsmgan: change the speed of a recording and keep its voice."""

__version__ = "0.1.0"
