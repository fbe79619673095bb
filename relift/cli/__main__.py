"""Run the command `relift` as `python -m relift.cli`."""

from relift.cli import main

if __name__ == "__main__":
    main()
