"""`python -m hilum` is the command line."""

from hilum.cli import main

if __name__ == "__main__":
    main()
