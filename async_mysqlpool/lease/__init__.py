"""What the borrower holds."""
