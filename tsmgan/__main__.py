"""`python -m tsmgan` is the command `tsmgan`."""

from tsmgan.cli import main

if __name__ == "__main__":
    main()
