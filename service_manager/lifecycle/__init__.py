"""Services over their lives: who wants them; how they start, sleep, wake and stop; what is said to them."""
