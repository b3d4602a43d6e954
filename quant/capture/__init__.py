"""From a user's module to a NetworkGraph: operators with integer forms, lookups, float islands."""
