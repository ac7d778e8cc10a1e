"""What became of earlier decisions, and what that says about the next one."""
