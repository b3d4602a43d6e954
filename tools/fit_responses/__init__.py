"""The prior of hidden responses, fitted to networks that were drawn and really retrained."""
