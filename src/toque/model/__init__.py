"""The words: frozen data that every other floor speaks in. Nothing here acts, waits or reads the world."""
