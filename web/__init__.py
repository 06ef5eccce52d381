"""One run of the server: options, start, page, sign-in, terminal.

Its packages, from the top down: gate, page, events, view, turns, files, languages.
"""
