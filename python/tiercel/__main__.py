"""`python -m tiercel`: the command line."""

from tiercel.cli import console

if __name__ == "__main__":
    console()
