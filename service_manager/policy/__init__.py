"""What is started, slept and stopped, and when: pure functions of values and a clock."""
