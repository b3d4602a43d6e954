"""Routes: what each address answers, a file for each of the API's things."""
