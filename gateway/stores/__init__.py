"""What outlives a request: protocols, and what keeps their promises."""
