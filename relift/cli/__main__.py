"""`python -m relift.cli`, the same as the command `relift`."""

from relift.cli import main

if __name__ == "__main__":
    main()
