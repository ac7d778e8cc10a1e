"""What Linux offers to put processes to sleep and to measure them; imports anywhere, works on Linux."""
