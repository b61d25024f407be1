"""What is done: fetch facts, ask `decide/`, write the answer in one transaction."""
