"""A space whose operations are sentences: what a network computes is composed of primitives by a grammar."""

from __future__ import annotations

from archwright.sentences.library import parse as parse
from archwright.sentences.sentence import Sentence as Sentence
from archwright.sentences.sentence import write as write
from archwright.spaces.grammar.space import Grammar as Grammar
