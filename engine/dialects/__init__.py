"""What Keras 2 and 3 print, read into the Keras 1 form: a translation from JSON to JSON, before anything is built.

`translate` takes a model, `translate_compile` what it is compiled with. Where later Keras computes other numbers, the
layers of the Keras 1 form have an argument of their own that says so. Nothing is looked up by module or registered
name, and nothing is passed over: what means nothing to the numbers is named in the notes, the rest is refused.
"""

from engine.dialects.compiling import translate_compile
from engine.dialects.models import translate
from engine.dialects.rules import REFUSED, later_names
from engine.dialects.translation import Translation

__all__ = ["REFUSED", "Translation", "later_names", "translate", "translate_compile"]
