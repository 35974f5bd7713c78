"""What the commands take.

Declared here without importing what they run, which takes PyTorch and seconds: help and a typo are answered at once.
"""
