"""`python -m audit`."""

from null_audit import main

main()
