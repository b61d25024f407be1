"""The doing: fetch facts, ask `decide/`, write the answer in one transaction."""
