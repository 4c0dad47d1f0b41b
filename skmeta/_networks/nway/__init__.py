"""Where every task has classes of its own."""
