"""The program `tsmgan`, also as `python -m tsmgan`.

For `-m`, Python puts the current folder first among those that it imports from. It goes before anything else is imported: whoever sends
recordings may send a `numpy.py` beside them. PYTHONPATH still names it for those who want it.
"""

import sys


def main() -> None:
    """Run the command line."""
    from tsmgan import stopping

    stopping.end_at_once()
    from tsmgan import cli

    cli.main()


if __name__ == "__main__":
    if not (sys.flags.isolated or getattr(sys.flags, "safe_path", False)):
        del sys.path[0]
    main()
