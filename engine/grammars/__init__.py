"""Replies that keep to a grammar: JSON of a schema, a regular expression, Lark.

Owns: llguidance. Does not know: sequences, sessions, the model.
"""

from engine.grammars.compiler import GrammarCompiler
from engine.grammars.constraint import GrammarConstraint
from engine.grammars.grammar import Grammar
from engine.grammars.marks import thoughts_of

__all__ = ["Grammar", "GrammarCompiler", "GrammarConstraint", "thoughts_of"]
