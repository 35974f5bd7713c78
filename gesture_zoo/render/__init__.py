"""Clips of people who gesture, rendered from solids, to train networks that meet real hands only afterwards."""
