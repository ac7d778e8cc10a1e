"""What services and the machine use over time: rates, what is usual for each, what is not, and a history."""
