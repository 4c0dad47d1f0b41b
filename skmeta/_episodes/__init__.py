"""Sampling of support and query rows, and batches of episodes."""
