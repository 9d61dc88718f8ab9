"""Train, test and record a cell, or sweep over many with -m: python run.py --help."""

from dsn_lab.cli import main

if __name__ == "__main__":
    main()
