"""The program `tsmgan`, also as `python -m tsmgan`.

For `-m`, Python puts the current folder first among those that it imports from. It goes before anything else is imported: whoever sends
recordings may send a `numpy.py` beside them. PYTHONPATH still names it for those who want it.
"""

import sys


def main() -> None:
    """Run the command line."""
    import signal

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Nothing has begun that would have to be put in order: Ctrl-C ends the process without a traceback, as other signals do.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from tsmgan import cli

    cli.main()


if __name__ == "__main__":
    if not (sys.flags.isolated or getattr(sys.flags, "safe_path", False)):
        del sys.path[0]
    main()
