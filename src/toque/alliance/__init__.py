"""Several gateways and their controller: what they say to each other, and who of them holds which slots."""
