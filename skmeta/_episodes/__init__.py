"""Draws of support and query rows, and the batches made of them."""
