"""The folder that is the record of a run: written as it goes, read back afterwards."""
