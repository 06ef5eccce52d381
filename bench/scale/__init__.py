"""How costs grow: with the history, the batch, the conversation's length; and a model of 7B."""
