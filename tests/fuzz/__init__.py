"""Fuzzing: `./run fuzz SECONDS` looks for new cases, test_found.py replays what is known."""
