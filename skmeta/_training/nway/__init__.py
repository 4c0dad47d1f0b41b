"""Meta-training where every task has classes of its own."""
