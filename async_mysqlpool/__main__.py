"""`python -m async_mysqlpool` is the command `async-mysqlpool`."""

from async_mysqlpool.cli import main

if __name__ == "__main__":
    main()
