"""Pages for people: the API's reference, and what each problem means."""
