"""Workers of a Ray cluster beside plain processes of the same trainings."""
