"""``python -m dsn_lab`` is ``dsn-lab``."""

from dsn_lab.console import main

if __name__ == "__main__":
    main()
