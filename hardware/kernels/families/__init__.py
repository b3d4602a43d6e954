"""Families: the ways to multiply codes by weights and add the products up, one file for each."""
