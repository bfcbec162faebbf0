"""One physical connection: its states, the session that every borrower must find, opening it, stopping what it runs."""
