"""Threads, precision, random numbers, versions: what all packages share."""
