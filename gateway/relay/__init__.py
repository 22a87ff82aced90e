"""Carrying one exchange: the route handler, its attempts, and the bytes between them."""
