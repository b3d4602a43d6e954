"""The service: jobs over HTTP, done by the commands as processes of their own."""
