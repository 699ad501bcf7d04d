"""What is written down: journal, ledger, metrics, access lines. Nothing here decides."""
