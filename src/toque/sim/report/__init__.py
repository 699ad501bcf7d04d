"""What a study says to people and programs: a JSON document, pages, plots."""
