"""Threads, precision, random numbers, versions: helpers of all packages."""
