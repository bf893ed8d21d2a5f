"""One radiograph: from the bytes of a file to the numbers a network sees."""
